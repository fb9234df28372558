-- Enters: giver, public_key, origin, epoch, stored, applied, data, signature. Leaves: the receipt kept to hand on, unless a newer one is.

insert into cdc_sync_passing (giver, public_key, origin, epoch, stored, applied, data, signature)
values (:giver, :public_key, :origin, :epoch, :stored, :applied, :data, :signature)
on conflict (origin, epoch, giver, public_key) do update
set stored = excluded.stored, applied = excluded.applied, data = excluded.data, signature = excluded.signature
where cdc_sync_passing.stored <= excluded.stored and cdc_sync_passing.applied <= excluded.applied;
