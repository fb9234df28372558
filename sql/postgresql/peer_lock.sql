-- What a node may write is judged by the names that its tables have here: neither changes while the other is looked at.
-- Enters: name. Leaves: the node, kept from others until the transaction ends.

select name from cdc_sync.peer where name = :name for update;
