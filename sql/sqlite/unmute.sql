-- Takes out again what an apply transaction captured, before it ends and anybody can see it.
-- Enters: change, seq (where capture stood before). Leaves: the change table as it was.

delete from :"change" where cdc_sync_seq > :seq;
