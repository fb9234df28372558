-- Enters: change, change_table (its name as a value). Leaves: how many changes of each operation wait.

select cdc_sync_op, count(*) from :"change"
where cdc_sync_seq > (select sealed from cdc_sync_captured where change_table = :change_table) group by cdc_sync_op;
