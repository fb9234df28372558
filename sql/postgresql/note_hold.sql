-- Keeps a table and its change table as they are until the transaction ends; writers go on.
-- Enters: table. Leaves: a lock, or an error after half a second, as in lock_table.sql.

set local lock_timeout = '500ms';
lock table :{table} in row exclusive mode;
