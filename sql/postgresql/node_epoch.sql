-- Enters: epoch. Leaves: this node at the beginning of another chain.

update cdc_sync.node set epoch = :epoch;
