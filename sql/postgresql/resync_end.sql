-- Enters: nothing. Leaves: no resync that could go on.

delete from cdc_sync.resync;
