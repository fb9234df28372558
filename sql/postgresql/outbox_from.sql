-- Enters: number. Leaves: header and digest of the oldest batch from that number on, if there is one.

select header, digest from cdc_sync.outbox where number >= :number order by number limit 1;
