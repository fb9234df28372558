-- The columns of a view. A view that is broken has none: SQLite refuses to say.
-- Enters: name. Leaves: column, its declared type where it is a column of a table (else nothing); in their order.

select name, type from pragma_table_xinfo(:name) order by cid;
