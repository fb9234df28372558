-- Enters: nothing. Leaves: every origin's position.

select origin, epoch, stored, applied, digest from cdc_sync.position order by origin, epoch;
