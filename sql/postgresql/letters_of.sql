-- Enters: origin, epoch. Leaves: that origin's letters that wait, without their rows, in the order of their changes.

select id, origin, epoch, number, table_name, seq, state, awaits, standing, code, message, hint, noted_at
from cdc_sync.letter where origin = :origin and epoch = :epoch and state <> 'skipped' order by seq;
