-- Enters: version_table, noted. Leaves: this node's own writes are noted up to that change.

update cdc_sync.versioned set noted = :noted where version_table = :version_table;
