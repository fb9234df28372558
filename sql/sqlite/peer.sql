-- Enters: name. Leaves: the public key registered for that node, if there is one.

select public_key from cdc_sync_peer where name = :name;
