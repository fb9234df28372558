-- Enters: change_table. Leaves: no open gap of it.

delete from cdc_sync_gap where change_table = :change_table;
