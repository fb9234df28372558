-- One applier at a time has triggers rest: others wait here, not for the tables, where the application would wait with them.
-- Enters: nothing. Leaves: a lock until the transaction ends.

select pg_advisory_xact_lock(hashtext('cdc_sync.triggers'), hashtext(current_database()));
