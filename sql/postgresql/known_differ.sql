-- Closes a gap in capture: what of the known rows stands no more is deleted, what stands now is sent again.
-- Enters: change, known, table, captured (columns), watched, known_columns, old_watched; standing (columns of row t);
--   known_row (columns of known row k); same (row t is known row k); changed_known (a watched column differs between them).
-- Leaves: changes, as if triggers had captured them.

insert into cdc_sync.:"change" (cdc_sync_op, cdc_sync_captured_at, :{watched})
select 'D', now(), :{known_row} from cdc_sync.:"known" k where not exists (select 1 from :{table} t where :{same});

insert into cdc_sync.:"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}, :{old_watched})
select case when :{changed_known} then 'K' else 'U' end, now(), :{standing}, :{known_row} from :{table} t join cdc_sync.:"known" k on :{same};

-- Not I: a trigger that was enabled again before this runs may have told of the row already.
insert into cdc_sync.:"change" (cdc_sync_op, cdc_sync_captured_at, :{captured})
select 'U', now(), :{standing} from :{table} t where not exists (select 1 from cdc_sync.:"known" k where :{same});
