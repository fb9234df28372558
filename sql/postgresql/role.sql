-- Enters: nothing. Leaves: whether this node relays, and whether it applies, if that was ever said.

select relays, applies from cdc_sync.role;
