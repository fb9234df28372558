-- Lets a captured table go, once its capture is stopped (capture_stop.sql).
-- Enters: change, known. Leaves: nothing of ours that belongs to it.

drop table if exists cdc_sync.:"change";
drop table if exists cdc_sync.:"known";
delete from cdc_sync.captured_column where change_table = :'change';
delete from cdc_sync.captured_text where change_table = :'change';
delete from cdc_sync.gap where change_table = :'change';
