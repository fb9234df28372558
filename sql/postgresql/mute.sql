-- Our triggers capture nothing for the rest of this transaction. They honour it only for the role that owns them.
-- Enters, leaves: nothing.

set local cdc_sync.mute = 'on';
