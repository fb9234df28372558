-- Enters: giver, origin, epoch, stored, applied, digest, data, signature. Leaves: the receipt, whatever was known before; one that
-- was signed stays so where it says the same.

insert into cdc_sync_receipt (giver, origin, epoch, stored, applied, digest, data, signature)
values (:giver, :origin, :epoch, :stored, :applied, :digest, :data, :signature)
on conflict (giver, origin, epoch) do update
set stored = excluded.stored, applied = excluded.applied, digest = excluded.digest,
    data = case when cdc_sync_receipt.stored = excluded.stored and cdc_sync_receipt.applied = excluded.applied and cdc_sync_receipt.digest = excluded.digest
        then coalesce(excluded.data, cdc_sync_receipt.data) else excluded.data end,
    signature = case when cdc_sync_receipt.stored = excluded.stored and cdc_sync_receipt.applied = excluded.applied and cdc_sync_receipt.digest = excluded.digest
        then coalesce(excluded.signature, cdc_sync_receipt.signature) else excluded.signature end;
