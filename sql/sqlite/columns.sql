-- The columns of a table, generated and hidden ones included.
-- Enters: name. Leaves: table, column, declared type, not null, hidden state, default, place in the primary key.

select m.name, x.name, x.type, x."notnull", x.hidden, x.dflt_value, x.pk
from sqlite_master m, pragma_table_xinfo(m.name) x
where m.type = 'table' and lower(m.name) = lower(:name)
order by x.cid;
