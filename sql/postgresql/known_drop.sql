-- Enters: known. Leaves: no known rows.

drop table if exists cdc_sync.:"known";
