-- Enters: name, epoch, public_key. Leaves: this node.

insert into cdc_sync_node (name, epoch, public_key) values (:name, :epoch, :public_key);
