-- Enters: name, stored, applied. Leaves: the receipt.

insert into cdc_sync.destination (name, stored, applied) values (:name, :stored, :applied)
on conflict (name) do update set stored = excluded.stored, applied = excluded.applied;
