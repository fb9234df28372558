-- Enters: nothing. Leaves: the batches of others that still have their parts, and the renames of their origins.

select b.origin, b.epoch, b.number, b.header, r.renames from cdc_sync_inbox b left join cdc_sync_renamed r on r.origin = b.origin
where exists (select 1 from cdc_sync_inbox_part p where p.origin = b.origin and p.epoch = b.epoch and p.number = b.number)
order by b.origin, b.epoch, b.number;
