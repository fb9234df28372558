-- Enters: change. Leaves: the newest seq that this snapshot can see.

select coalesce(max(cdc_sync_seq), 0) from cdc_sync.:"change";
