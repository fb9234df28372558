-- Capture for a table that has partitions or children: runs after capture.sql, before capture_branch.sql.
-- Enters: table, change, update_function, and lists of quoted columns:
--   captured, watched, old_watched: as in capture.sql; new_row, new_watched, old_row: captured and watched columns of n
--   and o, a row's new and old image; same: condition "n and o are one row"; changed_row: condition "a watched column
--   differs between n and o".
-- Leaves: updates captured by pairing both images. A row that an update moves to another partition fires no row-level
--   update trigger, and a child's row fires none of its parent's.

drop trigger cdc_sync_key on :{table};
drop trigger cdc_sync_update on :{table};

create or replace function cdc_sync.:"update_function"() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
    if current_setting('cdc_sync.mute', true) = 'on' and pg_has_role(session_user, current_user, 'member') then
        return null;
    end if;
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured}, :{old_watched})
    select case when :{changed_row} then 'K' else 'U' end, :{new_row}, :{old_row}
    from new_rows n join old_rows o on :{same};
    insert into cdc_sync.:"change" (cdc_sync_op, :{watched})
    select 'D', :{old_row} from old_rows o where not exists (select from new_rows n where :{same});
    insert into cdc_sync.:"change" (cdc_sync_op, :{captured})
    select 'I', :{new_row} from new_rows n where not exists (select from old_rows o where :{same});
    return null;
end
$function$;

create trigger cdc_sync_update after update on :{table}
    referencing old table as old_rows new table as new_rows
    for each statement execute function cdc_sync.:"update_function"();
