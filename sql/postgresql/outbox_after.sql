-- Enters: number. Leaves: the batches after it in order, but for a header whose parts were released.

select number, header, signature from cdc_sync.outbox b
where number > :number and exists (select 1 from cdc_sync.outbox_part p where p.number = b.number)
order by number;
