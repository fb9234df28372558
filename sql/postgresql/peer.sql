-- Enters: name. Leaves: what is known of that node, if anything is.

select name, public_key, relay, grants, enrolled_at, revoked_at from cdc_sync.peer where name = :name;
