-- Enters: change_table, reason. Leaves: one open gap more.

insert into cdc_sync.gap (change_table, reason) values (:change_table, :reason);
