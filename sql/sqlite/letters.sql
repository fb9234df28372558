-- Enters: nothing. Leaves: every letter that waits, without its rows, the oldest first.

select id, origin, epoch, number, table_name, seq, state, awaits, standing, code, message, hint, noted_at
from cdc_sync_letter where state <> 'skipped' order by id;
