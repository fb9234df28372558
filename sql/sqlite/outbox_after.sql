-- Enters: number. Leaves: the batches after it, in order.

select number, header, signature, rows from cdc_sync_outbox where number > :number order by number;
