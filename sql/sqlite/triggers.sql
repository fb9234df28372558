-- Our triggers, as found, for comparison with what should be there. Those are left out before which a trigger of the
-- application fires that may end the statement with its row in place: the newest fires first, so ours are made anew.
-- Enters: nothing. Leaves: table, trigger, its text.

select t.tbl_name, t.name, t.sql from sqlite_master t
where t.type = 'trigger' and substr(t.name, 1, 9) = 'cdc_sync_' and not exists (
    select 1 from sqlite_master a
    where a.type = 'trigger' and a.tbl_name = t.tbl_name and a.rowid > t.rowid and substr(a.name, 1, 9) <> 'cdc_sync_'
        and (replace(lower(a.sql), ' ', '') like '%raise(ignore%' or replace(lower(a.sql), ' ', '') like '%raise(fail%'));
