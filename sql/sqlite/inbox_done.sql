-- Enters: origin, epoch, number of a batch that is applied. Leaves: its header without its parts, but for a relay.

delete from cdc_sync_inbox_part where origin = :origin and epoch = :epoch and number = :number
and not exists (select 1 from cdc_sync_role where relays);
