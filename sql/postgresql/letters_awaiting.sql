-- Enters: nothing. Leaves: origins and epochs with letters that wait for what may come, the longest waiting first.

select origin, epoch from cdc_sync.letter where state in ('deferred', 'held') group by origin, epoch order by min(id);
