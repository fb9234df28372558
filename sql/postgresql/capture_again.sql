-- Sends the rows that stand in a table again, as if each had been written over with itself.
-- Enters: table, change, captured. Leaves: one change a row.

insert into cdc_sync.:"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}) select 'U', now(), :{captured} from :{table};
