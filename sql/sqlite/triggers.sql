-- Our triggers, as found, for comparison with what should be there.
-- Enters: nothing. Leaves: table, trigger, its text.

select tbl_name, name, sql from sqlite_master where type = 'trigger' and substr(name, 1, 9) = 'cdc_sync_';
