-- Enters: table_name. Leaves: whether rows are known to have gone there.

select exists (select 1 from cdc_sync_tombstone where table_name = :table_name);
