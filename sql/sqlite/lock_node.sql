-- SQLite has no lock that outlives a transaction: the lock on the device key's file does this alone.
-- Enters: nothing. Leaves: true.

select true;
