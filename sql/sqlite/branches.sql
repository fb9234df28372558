-- Tables whose rows are also rows of another: SQLite has none.
-- Enters: nothing. Leaves: no row.

select null, null, null where false;
