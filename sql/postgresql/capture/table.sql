-- Enters: change (name of the change table), definitions (quoted columns with types).
-- Leaves: an empty change table. cdc_sync_for: the table or view that a note or a leaving row is about, where others share
--   the change table.

create table cdc_sync.:"change" (
    cdc_sync_seq bigint not null default nextval('cdc_sync.seq'),
    cdc_sync_op "char" not null,
    cdc_sync_captured_at timestamptz not null default now(),
    cdc_sync_for text,
    :{definitions}
);
