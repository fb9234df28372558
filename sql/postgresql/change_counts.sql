-- Enters: change. Leaves: how many changes of each operation wait.

select cdc_sync_op::text, count(*) from cdc_sync.:"change" group by cdc_sync_op;
