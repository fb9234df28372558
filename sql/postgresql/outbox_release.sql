-- Enters: number up to which every destination has applied. Leaves: no header up to it, except the newest of all.

delete from cdc_sync.outbox
where number <= :number and number < (select max(number) from cdc_sync.outbox);
