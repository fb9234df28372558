-- Notes which column of the table each column of a change table mirrors, and what its triggers do, so that capture can follow
-- when a column is renamed or dropped, or a partition comes or goes (follow.sql).
-- Enters: change, table (quoted), functions and triggers (their texts, with holes for columns and for the table), columns: a
--   list of (place, name, old_name, tells_apart, declared). Leaves: the notes.

delete from cdc_sync.captured_column where change_table = :'change';
delete from cdc_sync.captured_text where change_table = :'change';

insert into cdc_sync.captured_text (change_table, relation, relation_oid, branches, functions, triggers)
values (:'change', :'table'::regclass, :'table'::regclass, array(select cdc_sync.branches(:'table')), :'functions', :'triggers');

insert into cdc_sync.captured_column (change_table, place, name, old_name, tells_apart, declared, attnum)
select :'change', c.place, c.name, c.old_name, c.tells_apart, c.declared, a.attnum
from (values :{columns}) as c (place, name, old_name, tells_apart, declared)
join pg_attribute a on a.attrelid = :'table'::regclass and a.attname = c.name;
