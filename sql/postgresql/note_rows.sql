-- Notes rows that the next seal is to send as it finds them.
-- Enters: name (of the table or view that they are sent as), op (S, or T where a server is known to have them), change, identity (columns that tell rows apart), rows (a temporary table), places (its columns).
-- Leaves: one note a row.

insert into cdc_sync.:"change" (cdc_sync_op, cdc_sync_captured_at, cdc_sync_for, :{identity}) select :'op', now(), :'name', :{places} from pg_temp.:"rows";
