-- Enters: change_table. Leaves: captured what came and went with its table's partitions, where no event trigger did that.

select cdc_sync.refit_branches(:change_table, true);
