-- Enters: epoch. Leaves: this node at the beginning of another chain.

update cdc_sync_node set epoch = :epoch;
