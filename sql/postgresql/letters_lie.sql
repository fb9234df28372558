-- Enters: origin, epoch. Leaves: the tables in which letters of that origin wait.

select distinct table_name from cdc_sync.letter where origin = :origin and epoch = :epoch and state <> 'skipped';
