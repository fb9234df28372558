-- Enters: nothing. Leaves: what went wrong last, by node and by whose batches it was about.

select peer, origin, message, hint, since from cdc_sync_trouble order by peer, origin;
