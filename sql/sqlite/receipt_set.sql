-- Enters: giver, origin, epoch, stored, applied, digest, data, signature. Leaves: the receipt, whatever was known before.

insert into cdc_sync_receipt (giver, origin, epoch, stored, applied, digest, data, signature)
values (:giver, :origin, :epoch, :stored, :applied, :digest, :data, :signature)
on conflict (giver, origin, epoch) do update
set stored = excluded.stored, applied = excluded.applied, digest = excluded.digest,
    data = excluded.data, signature = excluded.signature;
