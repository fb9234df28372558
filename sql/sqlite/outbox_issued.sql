-- Enters: nothing. Leaves: what was issued again, under its number.

update cdc_sync_outbox set number = -number where number < 0;
