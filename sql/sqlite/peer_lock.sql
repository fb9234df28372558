-- Enters: name. Leaves: the node; the write transaction around it keeps others out.

select name from cdc_sync_peer where name = :name;
