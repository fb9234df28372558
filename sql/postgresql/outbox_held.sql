-- Enters: nothing. Leaves: this node's own batches that still have their parts.

select number, header from cdc_sync.outbox b
where exists (select 1 from cdc_sync.outbox_part p where p.number = b.number) order by number;
