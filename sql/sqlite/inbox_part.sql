-- Enters: origin, epoch, number, part. Leaves: its bytes.

select data from cdc_sync_inbox_part
where origin = :origin and epoch = :epoch and number = :number and part = :part;
