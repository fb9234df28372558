-- Enters: name, public_key, relay, grants, enrolled_at. Leaves: the node enrolled, unless its name has another key.

insert into cdc_sync_peer (name, public_key, relay, grants, enrolled_at)
values (:name, :public_key, :relay, :grants, :enrolled_at)
on conflict (name) do update
set relay = excluded.relay, grants = excluded.grants, enrolled_at = excluded.enrolled_at, revoked_at = null
where cdc_sync_peer.public_key = excluded.public_key;
