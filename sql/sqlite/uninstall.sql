-- Enters: nothing. Leaves: no object of ours.

drop table if exists cdc_sync_node;
drop table if exists cdc_sync_captured;
drop table if exists cdc_sync_gap;
drop table if exists cdc_sync_outbox;
drop table if exists cdc_sync_outbox_part;
drop table if exists cdc_sync_receipt;
drop table if exists cdc_sync_passing;
drop table if exists cdc_sync_role;
drop table if exists cdc_sync_trouble;
drop table if exists cdc_sync_told;
drop table if exists cdc_sync_renamed;
drop table if exists cdc_sync_peer;
drop table if exists cdc_sync_enrolment;
drop table if exists cdc_sync_position;
drop table if exists cdc_sync_inbox;
drop table if exists cdc_sync_inbox_part;
drop table if exists cdc_sync_resync;
drop table if exists cdc_sync_letter;
drop table if exists cdc_sync_versioned;
drop table if exists cdc_sync_tombstone;
drop table if exists cdc_sync_conflict;
drop table if exists cdc_sync_base;
