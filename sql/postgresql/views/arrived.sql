-- What has come of views.
-- Enters: nothing. Leaves: origin, header and the origin's renames of every batch that came from others, oldest first.

select i.origin, i.header, r.renames
from cdc_sync.inbox i
left join cdc_sync.renamed r on r.origin = i.origin
order by i.origin, i.epoch, i.number;
