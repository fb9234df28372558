-- Capture follows its tables: what an event trigger (follow_trigger.sql) or replicate calls when a table was changed.
-- Enters: nothing. Leaves: functions.

-- A column's type as a change table declares it: a domain is looked through, because a change may leave it null.
create or replace function cdc_sync.declared(type oid, modifier integer) returns text
language sql stable set search_path = pg_catalog, pg_temp as $function$
    with recursive base as (
        select t.oid, t.typtype, t.typbasetype, case when t.typtype = 'd' then t.typtypmod else modifier end as modifier
        from pg_type t where t.oid = type
        union all
        select p.oid, p.typtype, p.typbasetype, case when p.typtype = 'd' then p.typtypmod else base.modifier end
        from base join pg_type p on base.typtype = 'd' and p.oid = base.typbasetype)
    select format_type(oid, modifier) from base where typtype <> 'd'
$function$;

-- The columns that a table's changes hold and that the table still has, under the names they have by now.
create or replace function cdc_sync.mirrored(wanted text)
returns table (place integer, name text, old_name text, tells_apart boolean, declared text, field text, declared_now text)
language sql stable set search_path = pg_catalog, pg_temp as $function$
    select c.place, c.name, c.old_name, c.tells_apart, c.declared, a.attname, cdc_sync.declared(a.atttypid, a.atttypmod)
    from cdc_sync.captured_column c
    join cdc_sync.captured_text t using (change_table)
    join pg_attribute a on a.attrelid = t.relation and not a.attisdropped
        and case when t.relation_oid = t.relation then a.attnum = c.attnum else a.attname = c.name end
    where c.change_table = wanted
$function$;

-- Fills the texts of a table's trigger functions again, for the columns that it has now. A column of another type is left
-- out: replicate reads it from the table. Key columns cannot be left out, so the change table takes their new type.
create or replace function cdc_sync.refit(wanted text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $function$
declare
    entry cdc_sync.captured_text;
    retyped record;
    lists jsonb;
    hole text;
    list text;
begin
    select * into entry from cdc_sync.captured_text where change_table = wanted;
    if exists (
        select from cdc_sync.captured_column c
        where c.change_table = wanted and c.old_name is not null
            and not exists (select from cdc_sync.mirrored(wanted) m where m.place = c.place))
    then
        insert into cdc_sync.gap (change_table, reason) values (wanted, 'a column of its key was dropped');
        perform cdc_sync.let_go(branch) from unnest(entry.relation || entry.branches) as branch;
        return;
    end if;
    for retyped in select * from cdc_sync.mirrored(wanted) m where m.old_name is not null and m.declared <> m.declared_now loop
        execute format('alter table cdc_sync.%1$I alter column %2$I type %4$s using %2$I::%4$s,'
            ' alter column %3$I type %4$s using %3$I::%4$s', wanted, retyped.name, retyped.old_name, retyped.declared_now);
        update cdc_sync.captured_column set declared = retyped.declared_now
        where change_table = wanted and place = retyped.place;
    end loop;
    select jsonb_build_object(
        'captured', string_agg(format('%I', m.name), ', ' order by m.place),
        'new', string_agg(format('new.%I', m.field), ', ' order by m.place),
        'new_row', string_agg(format('n.%I', m.field), ', ' order by m.place),
        'old_values', string_agg(format('old.%I', m.field), ', ' order by m.place),
        'old_image', string_agg(format('o.%I', m.field), ', ' order by m.place))
        || jsonb_build_object(
        'watched', string_agg(format('%I', m.name), ', ' order by m.place) filter (where key_column),
        'old_watched', string_agg(format('%I', m.old_name), ', ' order by m.place) filter (where key_column),
        'old', string_agg(format('old.%I', m.field), ', ' order by m.place) filter (where key_column),
        'old_row', string_agg(format('o.%I', m.field), ', ' order by m.place) filter (where key_column),
        'first', string_agg(format('($1).%I', m.field), ', ' order by m.place) filter (where key_column),
        'second', string_agg(format('($2).%I', m.field), ', ' order by m.place) filter (where key_column),
        'same', string_agg(format('n.%1$I = o.%1$I', m.field), ' and ' order by m.place) filter (where m.tells_apart),
        'changed', format('row(%s)::pg_catalog.record operator(pg_catalog.*<>) row(%s)::pg_catalog.record',
            string_agg(format('old.%I', m.field), ', ' order by m.place) filter (where key_column),
            string_agg(format('new.%I', m.field), ', ' order by m.place) filter (where key_column)),
        'changed_row', format('row(%s)::pg_catalog.record operator(pg_catalog.*<>) row(%s)::pg_catalog.record',
            string_agg(format('n.%I', m.field), ', ' order by m.place) filter (where key_column),
            string_agg(format('o.%I', m.field), ', ' order by m.place) filter (where key_column)))
    into lists
    from cdc_sync.mirrored(wanted) m, lateral (select m.old_name is not null as key_column) k
    where m.declared = m.declared_now;
    for hole, list in select * from jsonb_each_text(lists) loop
        entry.functions := replace(entry.functions, ':{' || hole || '}', list);
    end loop;
    execute entry.functions;
end
$function$;

-- Captures what came to a table or left it with a partition or child, and gives these their triggers or takes them away.
-- late: the change was noticed afterwards, so rows may have been captured through the root already, and may be gone again.
create or replace function cdc_sync.refit_branches(wanted text, late boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $function$
declare
    entry cdc_sync.captured_text;
    now_there regclass[];
    branch regclass;
    columns record;
begin
    select * into entry from cdc_sync.captured_text where change_table = wanted;
    -- A paused table has no functions; when it is resumed, the table as a whole is compared with what was known.
    if not found or to_regproc(format('cdc_sync.%I', 'insert_' || wanted)) is null then
        return;
    end if;
    now_there := array(select cdc_sync.branches(entry.relation));
    if now_there <@ entry.branches and entry.branches <@ now_there then
        return;
    end if;
    select string_agg(format('%I', m.name), ', ' order by m.place) as names,
           string_agg(format('%I', m.field), ', ' order by m.place) as fields,
           string_agg(format('%I', m.name), ', ' order by m.place) filter (where m.old_name is not null) as keys,
           string_agg(format('%I', m.field), ', ' order by m.place) filter (where m.old_name is not null) as key_fields
    into columns
    from cdc_sync.mirrored(wanted) m
    where m.declared = m.declared_now;
    -- Before the rest, which makes the event trigger call this function again.
    update cdc_sync.captured_text set branches = now_there where change_table = wanted;
    foreach branch in array now_there loop
        if branch <> all (entry.branches) then
            execute format('insert into cdc_sync.%I (cdc_sync_op, %s) select %L, %s from only %s',
                wanted, columns.names, case when late then 'U' else 'I' end, columns.fields, branch);
            update cdc_sync.captured set reread = reread or late where change_table = wanted;
            execute replace(replace(entry.triggers, ':{' || 'table}', branch::text),
                ':' || '''table''', quote_literal(branch::text));
        end if;
    end loop;
    foreach branch in array entry.branches loop
        if branch <> all (now_there) and exists (select from pg_class c where c.oid = branch) then
            execute format('insert into cdc_sync.%I (cdc_sync_op, %s) select ''D'', %s from only %s',
                wanted, columns.keys, columns.key_fields, branch);
            perform cdc_sync.let_go(branch);
        end if;
        if branch <> all (now_there) and (late or not exists (select from pg_class c where c.oid = branch)) then
            insert into cdc_sync.gap (change_table, reason, rereads)
            values (wanted, 'a partition or child went with its rows', false);
        end if;
    end loop;
    if entry.triggers = '' and now_there <> '{}' then
        insert into cdc_sync.gap (change_table, reason) values (wanted, 'it has partitions or children now');
    end if;
end
$function$;

-- Keeps what identifies a table's rows, as pause does: its triggers are disabled, and what happens meanwhile is not captured.
create or replace function cdc_sync.remember(wanted text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $function$
declare
    kept record;
begin
    if to_regclass(format('cdc_sync.%I', 'known_' || wanted)) is not null then
        return;
    end if;
    select t.relation, string_agg(format('%I as k%s', m.field, m.number), ', ' order by m.place) as keys,
           string_agg(format('k%s', m.number), ', ' order by m.place) filter (where m.tells_apart) as apart
    into kept
    from cdc_sync.captured_text t
    cross join (select *, row_number() over (order by place) - 1 as number
                from cdc_sync.mirrored(wanted) where old_name is not null) m
    where t.change_table = wanted
    group by t.relation;
    execute format('create table cdc_sync.%I as select %s from %s', 'known_' || wanted, kept.keys, kept.relation);
    execute format('create index on cdc_sync.%I (%s)', 'known_' || wanted, kept.apart);
    insert into cdc_sync.gap (change_table, reason) values (wanted, 'its triggers were disabled');
end
$function$;

-- Whether one of a table's triggers of ours is disabled.
create or replace function cdc_sync.disabled(wanted text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $function$
    select exists (
        select from cdc_sync.captured_text c
        join pg_trigger t on t.tgrelid = c.relation or t.tgrelid = any (c.branches)
        join pg_proc p on p.oid = t.tgfoid and p.pronamespace = 'cdc_sync'::regnamespace
        where c.change_table = wanted and t.tgenabled in ('D', 'R'))
$function$;

-- A table that was a partition or child of a captured one loses our triggers.
create or replace function cdc_sync.let_go(branch regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $function$
declare
    ours name;
begin
    for ours in
        select t.tgname from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = branch and t.tgparentid = 0 and p.pronamespace = 'cdc_sync'::regnamespace
    loop
        execute format('drop trigger %I on %s', ours, branch);
    end loop;
end
$function$;
