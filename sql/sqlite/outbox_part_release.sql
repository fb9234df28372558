-- Enters: number up to which every destination has applied. Leaves: no parts up to it.

delete from cdc_sync_outbox_part where number <= :number;
