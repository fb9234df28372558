-- Enters: giver, origin, epoch, stored, applied, digest, data, signature. Leaves: the receipt, unless a newer one is known.

insert into cdc_sync_receipt (giver, origin, epoch, stored, applied, digest, data, signature)
values (:giver, :origin, :epoch, :stored, :applied, :digest, :data, :signature)
on conflict (giver, origin, epoch) do update
set stored = excluded.stored, applied = excluded.applied, digest = excluded.digest,
    data = excluded.data, signature = excluded.signature
where cdc_sync_receipt.stored <= excluded.stored and cdc_sync_receipt.applied <= excluded.applied;
