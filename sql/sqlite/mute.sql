-- Our triggers capture nothing for the rest of this transaction, which no other writer can share or see.
-- Enters: nothing. Leaves: the row that they look for.

insert into cdc_sync_mute (muted) values (1);
