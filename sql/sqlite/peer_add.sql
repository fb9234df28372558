-- Enters: name, public_key. Leaves: a node whose batches are accepted.

insert into cdc_sync_peer (name, public_key) values (:name, :public_key) on conflict (name) do nothing;
