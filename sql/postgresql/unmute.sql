-- The mute of this database would end with its transaction by itself; nothing after the rows needs it.
-- Enters, leaves: nothing.

set local cdc_sync.mute = 'off';
