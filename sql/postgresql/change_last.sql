-- Enters: change. Leaves: the newest seq.

select coalesce(max(cdc_sync_seq), 0) from cdc_sync.:"change";
