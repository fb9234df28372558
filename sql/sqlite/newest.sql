-- Where capture stands: before an apply transaction writes, and when a seal begins to read.
-- Enters: change. Leaves: the newest seq.

select coalesce(max(cdc_sync_seq), 0) from :"change";
