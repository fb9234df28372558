-- Enters: table_name, paused, reread. Leaves: the synced table with these marks.

update cdc_sync_captured set paused = :paused, reread = :reread where table_name = :table_name;
