-- Keeps writers out of one table until the transaction ends, so that no change falls between triggers and rows.
-- Enters: table. Leaves: a lock, or an error after half a second, for the caller to try again: whoever waits for a lock makes
--   all later writers wait too, and after a second (deadlock_timeout) one of those that wait in a ring would be ended.

set local lock_timeout = '500ms';
lock table :{table} in share row exclusive mode;
