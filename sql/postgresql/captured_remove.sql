-- Enters: table_name. Leaves: one synced table less.

delete from cdc_sync.captured where table_name = :table_name;
