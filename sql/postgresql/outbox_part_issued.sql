-- Enters: nothing. Leaves: the parts of what was issued again, under its number.

update cdc_sync.outbox_part set number = -number where number < 0;
