-- Enters: nothing. Leaves: how many rows are in batches that some final destination has not applied.

select coalesce(sum(rows), 0) from cdc_sync_outbox b
where exists (select 1 from cdc_sync_outbox_part p where p.number = b.number);
