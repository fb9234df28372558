-- Enters: nothing. Leaves: the newest batch's header, if there is one.

select header from cdc_sync_outbox order by number desc limit 1;
