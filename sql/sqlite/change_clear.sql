-- Marks changes as sealed; takes the write lock for one row only. change_tidy deletes them afterwards.
-- Enters: change_table, seq. Leaves: the change table with its changes up to seq sealed.

update cdc_sync_captured set sealed = :seq where change_table = :change_table;
