-- Enters: nothing. Leaves: the names under which views can be configured.

select name from sqlite_master
where type = 'view' and substr(name, 1, 9) <> 'cdc_sync_'
order by name;
