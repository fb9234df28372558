-- Enters: relays, applies. Leaves: what this node does with the batches of others.

insert into cdc_sync.role (place, relays, applies) values (1, :relays, :applies)
on conflict (place) do update set relays = excluded.relays, applies = excluded.applies;
