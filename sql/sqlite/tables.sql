-- Enters: nothing. Leaves: the names under which tables can be configured.

select name from sqlite_master
where type = 'table' and substr(name, 1, 7) <> 'sqlite_' and substr(name, 1, 9) <> 'cdc_sync_'
order by name;
