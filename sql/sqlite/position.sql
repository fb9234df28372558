-- Enters: origin, epoch. Leaves: its position; the write transaction around it keeps other appliers out.

select stored, applied, digest from cdc_sync_position where origin = :origin and epoch = :epoch;
