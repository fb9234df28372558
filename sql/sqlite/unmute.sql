-- Enters: nothing. Leaves: triggers that capture again. Runs before the transaction commits.

delete from cdc_sync_mute;
