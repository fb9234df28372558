-- Closes a gap in capture: what of the known rows stands no more is deleted, what stands now is sent again.
-- Enters: change, known, table, captured (columns), watched, known_columns, old_watched; standing (columns of row t);
--   known_row (columns of known row k); same (row t is known row k); changed_known (a watched column differs between them).
-- Leaves: changes, as if triggers had captured them.

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{watched})
select 'D', julianday(), :{known_row} from :"known" k where not exists (select 1 from :{table} t where :{same});

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}, :{old_watched})
select 'U', julianday(), :{standing}, :{known_row} from :{table} t join :"known" k on :{same};

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured})
select 'I', julianday(), :{standing} from :{table} t where not exists (select 1 from :"known" k where :{same});
