-- Enters: origin, epoch, stored, digest. Leaves: the position moved.

update cdc_sync_position set stored = :stored, digest = :digest where origin = :origin and epoch = :epoch;
