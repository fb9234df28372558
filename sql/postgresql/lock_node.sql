-- One replicator at a time on a node: held until the connection ends.
-- Enters: nothing. Leaves: whether the lock was free.

select pg_try_advisory_lock(hashtext('cdc_sync.replicate'), hashtext(current_database()));
