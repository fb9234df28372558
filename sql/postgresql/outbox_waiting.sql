-- Enters: number up to which a destination has come. Leaves: batches and rows that wait for it.

select count(*), coalesce(sum(rows), 0) from cdc_sync.outbox where number > :number;
