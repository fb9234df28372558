-- What happens when a table, or a partition or child of it, is truncated. It runs before the rows are gone; truncate holds the
-- table alone, so nothing can slip in between. Partitions are truncated with their parent, and each fires its own trigger:
-- so it is the table that fired which is read. What cannot be read must not stop the application: then it is told.
-- Enters: change, the function's name, guard; watched, old_row: as in statements.sql. Leaves: the function.

create or replace function cdc_sync.:"truncate_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        insert into cdc_sync.gap (change_table, reason, rereads)
        values (:'change', 'it was truncated by a transaction that saw an older state', false);
    end if;
    begin
        execute $truncated$insert into cdc_sync.:"change" (cdc_sync_op, :{watched}) select 'D', :{old_row} from only $truncated$
            || tg_relid::regclass || ' o';
    exception when insufficient_privilege then
        insert into cdc_sync.gap (change_table, reason, rereads)
        values (:'change', 'it was truncated, and the role of its triggers may not read it', false);
    end;
    return null;
:{guard}end
$function$;
