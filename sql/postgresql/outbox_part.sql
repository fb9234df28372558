-- Enters: number, part. Leaves: its bytes.

select data from cdc_sync.outbox_part where number = :number and part = :part;
