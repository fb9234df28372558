-- Enters: nothing. Leaves: what was issued again, under its number.

update cdc_sync.outbox set number = -number where number < 0;
