-- What a table's triggers do where they fire for each row (capture = "row"): native logical replication fires no others.
-- Enters: as in statements.sql; changed: condition "a watched column differs between old and new"; unchanged: condition
--   "the update changed nothing", or false. Leaves: the functions.

create or replace function cdc_sync.:"insert_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) values ('I', :{new});
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
    if :{unchanged} then
        return null;
    end if;
    if :{changed} then
        insert into cdc_sync.:"change" (cdc_sync_op, :{captured}, :{old_watched}) values ('K', :{new}, :{old});
    else
        insert into cdc_sync.:"change" (cdc_sync_op, :{captured}) values ('U', :{new});
    end if;
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
    insert into cdc_sync.:"change" (cdc_sync_op, :{watched}) values ('D', :{old});
    return null;
:{guard}end
$function$;
