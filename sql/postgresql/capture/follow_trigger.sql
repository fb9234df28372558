-- Capture follows a table within the transaction that changes it. Only a superuser may make event triggers; without this one
-- the trigger functions are guarded (guard.sql), and replicate finds what changed before it seals.
-- Enters: nothing. Leaves: two event triggers.

-- A fault of ours must break no statement of the application's, neither this one nor its next writes: the table loses our
-- triggers, the gap is noted, and replicate captures it anew.
create or replace function cdc_sync.follow() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
declare
    entry record;
begin
    for entry in
        select c.change_table, t.relation, t.branches
        from cdc_sync.captured c
        join cdc_sync.captured_text t using (change_table)
        where not c.paused and exists (
            select from pg_event_trigger_ddl_commands() d
            where d.classid = 'pg_class'::regclass
                and (d.objid = t.relation or d.objid = any (t.branches) or d.objid in (select cdc_sync.branches(t.relation))))
    loop
        begin
            perform cdc_sync.refit(entry.change_table);
            perform cdc_sync.refit_branches(entry.change_table, false);
            if cdc_sync.disabled(entry.change_table) then
                perform cdc_sync.remember(entry.change_table);
            end if;
        exception when others then
            insert into cdc_sync.gap (change_table, reason) values (entry.change_table, 'following its change failed');
            perform cdc_sync.let_go(branch) from unnest(entry.relation || entry.branches) as branch;
            raise warning 'cdc_sync could not follow a change of table %: %', entry.relation, sqlerrm;
        end;
    end loop;
end
$function$;

drop event trigger if exists cdc_sync_follow;
create event trigger cdc_sync_follow on ddl_command_end
    when tag in ('ALTER TABLE', 'CREATE TABLE') execute function cdc_sync.follow();

-- "alter column ... type ... using ..." may give rows other values while no column looks otherwise afterwards; reason 4: a column
-- is worked out anew. replicate reads the table again. Where former values matter of that column, of its key or a filter, no
-- change tells them; what a reference or the primary key is called makes no difference elsewhere. A column was touched here if
-- its entry in the catalogue is no older than this transaction.
create or replace function cdc_sync.rewritten() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if pg_event_trigger_table_rewrite_reason() & 4 = 4 then
        insert into cdc_sync.gap (change_table, reason)
        select c.change_table, case when exists (
                select from cdc_sync.mirrored(c.change_table) m
                join pg_attribute a on a.attrelid = pg_event_trigger_table_rewrite_oid() and a.attname = m.field
                where m.old_name is not null and (not m.tells_apart or jsonb_exists(c.shape::jsonb -> 'key', m.name))
                    and not exists (
                        select from jsonb_array_elements(c.shape::jsonb -> 'references') r
                        where jsonb_exists(r -> 'columns', m.name))
                    and age(a.xmin) <= age(pg_current_xact_id()::xid))
            then 'a column of its key or filter was worked out anew' else 'its rows were rewritten' end
        from cdc_sync.captured c
        join cdc_sync.captured_text t using (change_table)
        where not c.paused and exists (
            select from unnest(t.relation || array(select cdc_sync.branches(t.relation))) branch
            where branch = pg_event_trigger_table_rewrite_oid());
    end if;
exception when others then
    raise warning 'cdc_sync could not note that table % was rewritten: %; run cdc-sync resync for it',
        pg_event_trigger_table_rewrite_oid()::regclass, sqlerrm;
end
$function$;

drop event trigger if exists cdc_sync_rewritten;
create event trigger cdc_sync_rewritten on table_rewrite execute function cdc_sync.rewritten();
