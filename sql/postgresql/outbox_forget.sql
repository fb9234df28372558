-- Enters: nothing. Leaves: no header under a number of the old chain.

delete from cdc_sync.outbox where number > 0;
