-- Enters: number, part. Leaves: its bytes.

select data from cdc_sync_outbox_part where number = :number and part = :part;
