-- Enters: origin, epoch. Leaves: how far that chain has come here, and the digests of both batches.

select p.stored, p.applied, p.digest, i.digest from cdc_sync.position p
left join cdc_sync.inbox i on i.origin = p.origin and i.epoch = p.epoch and i.number = p.applied
where p.origin = :origin and p.epoch = :epoch;
