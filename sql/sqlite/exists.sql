-- Enters: nothing. Leaves: whether anything of ours is installed.

select count(*) > 0 from sqlite_master where type = 'table' and name = 'cdc_sync_node';
