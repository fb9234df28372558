-- Sends the rows that stand in a table again, as if each had been written over with itself.
-- Enters: table, change, captured, watched, old_watched. Leaves: one change a row.

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}, :{old_watched})
select 'U', julianday(), :{captured}, :{watched} from :{table};
