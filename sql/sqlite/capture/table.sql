-- Enters: change (name of the change table), definitions (its quoted columns, with the affinity of the table's own).
-- Leaves: an empty change table. cdc_sync_for: the table or view that a note or a leaving row is about, where others share
--   the change table.
-- No autoincrement: it costs 2 µs a row. The newest change is never deleted, so no seq comes twice.

create table :"change" (
    cdc_sync_seq integer primary key,
    cdc_sync_op,
    cdc_sync_captured_at,
    cdc_sync_for,
    :{definitions}
);
