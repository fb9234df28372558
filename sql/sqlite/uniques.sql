-- Unique indexes.
-- Enters: name. Leaves: index, origin (pk, u, c), column (null for an expression), its collation, and whether the index
-- is partial; columns in key order.

select i.name, i.origin, x.name, x.coll, i.partial
from pragma_index_list(:name) i, pragma_index_xinfo(i.name) x
where i."unique" and x.key
order by i.origin <> 'pk', i.seq, x.seqno;
