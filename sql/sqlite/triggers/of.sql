-- Every trigger of tables of which some are the application's; ours too, so that all can be made again in their order.
-- Enters: tables (JSON array). Leaves: trigger, its text, in the order in which they were made.

select m.name, m.sql
from sqlite_master m
where m.type = 'trigger' and lower(m.tbl_name) in (
    select lower(a.tbl_name) from sqlite_master a
    where a.type = 'trigger' and substr(a.name, 1, 9) <> 'cdc_sync_'
        and lower(a.tbl_name) in (select lower(value) from json_each(:tables)))
order by m.rowid;
