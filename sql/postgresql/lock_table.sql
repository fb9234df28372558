-- Keeps writers out of one table until the transaction ends, so that no change falls between triggers and rows.
-- Enters: table. Leaves: a lock, or an error after 30 s: whoever waits for a lock makes all later writers wait too.

set local lock_timeout = '30s';
lock table :{table} in share row exclusive mode;
