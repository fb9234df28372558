-- Enters: origin, epoch, number. Leaves: the batch's header, and the origin's renames (see renamed.sql).

select i.header, r.renames from cdc_sync.inbox i left join cdc_sync.renamed r on r.origin = i.origin
where i.origin = :origin and i.epoch = :epoch and i.number = :number;
