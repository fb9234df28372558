-- Parts that a killed seal left behind.
-- Enters: number of the newest batch. Leaves: only parts of sealed batches.

delete from cdc_sync.outbox_part where number > :number;
