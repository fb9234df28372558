-- Enters: origin, epoch. Leaves: its position, locked against other appliers until the transaction ends.

select stored, applied, digest from cdc_sync.position where origin = :origin and epoch = :epoch for update;
