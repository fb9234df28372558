-- Enters: nothing. Leaves: no part under a number of the old chain.

delete from cdc_sync_outbox_part where number > 0;
