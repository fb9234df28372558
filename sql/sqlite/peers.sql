-- Enters: nothing. Leaves: every node that is known here.

select name, public_key, relay, grants, enrolled_at, revoked_at from cdc_sync_peer order by name;
