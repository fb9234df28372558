-- What a table's triggers do: one function per event. Capture follows the table's columns, so an event trigger fills these
-- texts again when they change (follow.sql); that is why every list of columns is a hole.
-- Enters: change, the functions' names, guard (guard.sql or nothing), and lists of quoted columns:
--   captured: columns of the change table; new, new_row: the same columns of a row, as new. and as n.;
--   watched, old_watched: key columns and where their old values stand; old, old_row: key columns as old. and as o.;
--   first, second: key columns of a row, as $1 and $2; unchanged: condition that keeps an update out which changed nothing, or nothing.
-- Leaves: the functions. security definer: an application needs no right on our schema. The mute is asked for in
-- two steps: the second question is then not even prepared, which costs a statement 1.5 µs less.

create or replace function cdc_sync.:"insert_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) select 'I', :{new_row} from new_rows n;
    return null;
:{guard}end
$function$;

create or replace function cdc_sync.:"update_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) select 'U', :{new_row} from new_rows n:{unchanged};
    return null;
:{guard}end
$function$;

create or replace function cdc_sync.:"delete_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{watched}) select 'D', :{old_row} from old_rows o;
    return null;
:{guard}end
$function$;

-- Whether an update changed a key column. The trigger asks this function instead of naming columns itself: PostgreSQL refuses
-- to change the type of a column that a trigger names. It is inlined, and compares bytes, so no search_path leads it astray.
create or replace function cdc_sync.:"changed_function"(anyelement, anyelement) returns boolean
language sql immutable as $function$
    select row(:{first})::pg_catalog.record operator(pg_catalog.*<>) row(:{second})::pg_catalog.record
$function$;

-- Transition tables do not pair a row's old image with its new one: this one fires per row, where a key column changed.
create or replace function cdc_sync.:"key_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}, :{old_watched}) values ('K', :{new}, :{old});
    return null;
:{guard}end
$function$;
