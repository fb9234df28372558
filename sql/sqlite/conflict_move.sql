-- Enters: id (of a letter), table_name. Leaves: the conflict that the letter is held for, under the table's present name.

update cdc_sync_conflict set table_name = :table_name
where outcome = 'held' and exists (
    select 1 from cdc_sync_letter l
    where l.id = :id and l.origin = cdc_sync_conflict.origin and l.epoch = cdc_sync_conflict.epoch
        and l.table_name = cdc_sync_conflict.table_name and l.seq = cdc_sync_conflict.seq);
