-- Captures the rows that stand in a table already, as inserts.
-- Enters: table, change, captured. Leaves: one change a row.

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, :{captured}) select 'I', julianday(), :{captured} from :{table};
