-- Enters: name, revoked_at. Leaves: the node revoked.

update cdc_sync_peer set revoked_at = :revoked_at where name = :name;
