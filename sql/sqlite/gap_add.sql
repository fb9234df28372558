-- Enters: change_table, reason. Leaves: one open gap more.

insert into cdc_sync_gap (change_table, reason) values (:change_table, :reason);
