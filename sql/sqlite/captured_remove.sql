-- Enters: table_name. Leaves: one synced table less.

delete from cdc_sync_captured where table_name = :table_name;
