-- Enters: name, public_key. Leaves: a node whose batches the database itself let in, unless the name is known.

insert into cdc_sync.peer (name, public_key) values (:name, :public_key) on conflict (name) do nothing;
