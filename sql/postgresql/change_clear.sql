-- Enters: change. Leaves: the change table without the rows that this transaction's snapshot can see.

delete from cdc_sync.:"change";
