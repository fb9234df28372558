-- Enters: name, stored, applied, digest. Leaves: the receipt.

insert into cdc_sync_destination (name, stored, applied, digest) values (:name, :stored, :applied, :digest)
on conflict (name) do update set stored = excluded.stored, applied = excluded.applied, digest = excluded.digest;
