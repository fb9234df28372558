-- Unique keys that hold for every row: no partial indexes, no expressions.
-- Enters: name. Leaves: index, origin (pk, u, c), column (null for an expression); columns in key order.

select i.name, i.origin, x.name
from pragma_index_list(:name) i, pragma_index_xinfo(i.name) x
where i."unique" and not i.partial and x.key
order by i.origin <> 'pk', i.seq, x.seqno;
