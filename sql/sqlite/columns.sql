-- The columns of a table, generated and hidden ones included.
-- Enters: name. Leaves: table, column, declared type, not null, hidden state, default, place in the primary key, whether
--   the primary key has an index (a rowid needs none), whether the table is without rowid, whether it is virtual, its
--   definition where there may be collations in it.

select m.name, x.name, x.type, x."notnull", x.hidden, x.dflt_value, x.pk,
    exists (select 1 from pragma_index_list(m.name) i where i.origin = 'pk'),
    exists (select 1 from pragma_index_list(m.name) i where i.origin = 'pk')
        and not exists (
            select 1 from pragma_index_list(m.name) i, pragma_index_xinfo(i.name) k
            where i.origin = 'pk' and k.cid = -1),
    lower(m.sql) like 'create virtual table%',
    case when lower(m.sql) like '%collate%' then m.sql end
from sqlite_master m, pragma_table_xinfo(m.name) x
where m.type = 'table' and lower(m.name) = lower(:name)
order by x.cid;
