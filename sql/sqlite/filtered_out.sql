-- Rows that a former filter let pass and the present one does not leave the server.
-- Enters: change, table, name (of the table or view that they leave), watched, former and filter (conditions). Leaves: one unconditional delete ('X') a row.

insert into :"change" (cdc_sync_op, cdc_sync_captured_at, cdc_sync_for, :{watched})
select 'X', julianday(), :'name', :{watched} from :{table} where (:{former}) and (:{filter}) is not true;
