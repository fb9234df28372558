-- What an update trigger does on a table with partitions or children: a row that an update moves to another partition fires
-- no row-level update trigger, and a child's row fires none of its parent's. So old and new images are paired here.
-- Enters: as in statements.sql, and same: condition "n and o are one row"; changed_row: condition "a watched column differs
--   between n and o". Leaves: the update function, in place of that of statements.sql. Without nested
--   loops: after a few updates of one row a session keeps the plan that suits these, and then 16,000 rows in one statement
--   took 34 s instead of 0.15.

create or replace function cdc_sync.:"update_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set enable_nestloop = off as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' then
        if pg_has_role(session_user, current_user, 'member') then
            return null;
        end if;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}, :{old_watched})
    select case when :{changed_row} then 'K' else 'U' end, :{new_row}, :{old_row}
    from new_rows n join old_rows o on :{same}:{unchanged};
    insert into cdc_sync.:"change" (cdc_sync_op, :{watched})
    select 'D', :{old_row} from old_rows o where not exists (select from new_rows n where :{same});
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured})
    select 'I', :{new_row} from new_rows n where not exists (select from old_rows o where :{same});
    return null;
:{guard}end
$function$;
