-- Lets a captured table go, once its capture is stopped (capture_stop.sql).
-- Enters: change, known. Leaves: nothing of ours that belongs to it.

drop table if exists :"change";
drop table if exists :"known";
delete from cdc_sync_gap where change_table = :'change';
