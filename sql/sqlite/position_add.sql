-- Enters: origin, epoch. Leaves: a position at the beginning, unless it is there.

insert into cdc_sync_position (origin, epoch, stored, applied, digest) values (:origin, :epoch, 0, 0, x'')
on conflict (origin, epoch) do nothing;
