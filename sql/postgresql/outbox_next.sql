-- Enters: number. Leaves: the oldest batch after it that still has its parts, if there is one.

select number, header, signature from cdc_sync.outbox b
where number > :number and exists (select 1 from cdc_sync.outbox_part p where p.number = b.number)
order by number limit 1;
