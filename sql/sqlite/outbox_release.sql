-- Enters: number up to which every destination has applied. Leaves: no parts up to it, and no header but the newest.

delete from cdc_sync_outbox_part where number <= :number;
delete from cdc_sync_outbox
where number <= :number and number < (select max(number) from cdc_sync_outbox);
