-- Enters: nothing. Leaves: every origin's position, how many batches and rows of it are held, and the first of them (0: none).

select p.origin, p.epoch, p.stored, p.applied, p.digest, count(h.number), coalesce(sum(b.rows), 0), coalesce(min(h.number), 0)
from cdc_sync.position p
left join (select distinct origin, epoch, number from cdc_sync.inbox_part) h on h.origin = p.origin and h.epoch = p.epoch
left join cdc_sync.inbox b on b.origin = h.origin and b.epoch = h.epoch and b.number = h.number
group by p.origin, p.epoch, p.stored, p.applied, p.digest order by p.origin, p.epoch;
