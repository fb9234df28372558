-- Enters: origin, epoch. Leaves: states of that origin's letters, and for how many rows each.

select state, count(distinct table_name || ' ' || coalesce(standing, cast(id as text))) from cdc_sync.letter
where origin = :origin and epoch = :epoch and state <> 'skipped' group by state;
