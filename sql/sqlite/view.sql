-- A view: its definition, and the triggers that stand in for writing to it.
-- Enters: name. Leaves: view, definition, texts of its triggers (JSON array); nothing where there is no such view.

select v.name, v.sql,
    (select json_group_array(t.sql) from sqlite_master t where t.type = 'trigger' and lower(t.tbl_name) = lower(v.name))
from sqlite_master v
where v.type = 'view' and lower(v.name) = lower(:name);
