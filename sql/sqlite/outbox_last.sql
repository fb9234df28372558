-- Enters: nothing. Leaves: number and digest of the newest batch, if there is one.

select number, digest from cdc_sync_outbox order by number desc limit 1;
