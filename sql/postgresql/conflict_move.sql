-- Enters: id (of a letter), table_name. Leaves: the conflict that the letter is held for, under the table's present name.

update cdc_sync.conflict set table_name = :table_name
where outcome = 'held' and exists (
    select 1 from cdc_sync.letter l
    where l.id = :id and l.origin = conflict.origin and l.epoch = conflict.epoch
        and l.table_name = conflict.table_name and l.seq = conflict.seq);
