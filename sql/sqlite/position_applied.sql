-- Enters: origin, epoch, applied. Leaves: the position moved.

update cdc_sync_position set applied = :applied where origin = :origin and epoch = :epoch;
