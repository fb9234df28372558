-- Enters: origin, epoch, table_name, seq, outcome. Leaves: what was held of this row is decided.

update cdc_sync.conflict set outcome = :outcome
where origin = :origin and epoch = :epoch and table_name = :table_name and seq = :seq and outcome = 'held';
