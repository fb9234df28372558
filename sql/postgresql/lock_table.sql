-- Keeps writers out of one table until the transaction ends, so that no change falls between triggers and rows.
-- Enters: table. Leaves: a lock.

lock table :{table} in share row exclusive mode;
