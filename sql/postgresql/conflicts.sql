-- Enters: nothing. Leaves: every conflict, the oldest first.

select id, origin, epoch, number, table_name, seq, kind, policy, outcome, met_origin, met_at, captured_at, source_row, target_row, noted_at
from cdc_sync.conflict order by id;
