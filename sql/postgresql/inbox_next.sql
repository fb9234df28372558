-- Enters: origin, epoch, number. Leaves: the oldest batch of that chain after it that still has its parts, if there is one.

select number, header, signature from cdc_sync.inbox b
where origin = :origin and epoch = :epoch and number > :number and exists (
    select 1 from cdc_sync.inbox_part p where p.origin = b.origin and p.epoch = b.epoch and p.number = b.number)
order by number limit 1;
