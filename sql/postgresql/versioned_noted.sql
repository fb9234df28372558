-- Enters: version_table. Leaves: up to which change this node's own writes are noted there.

select noted from cdc_sync.versioned where version_table = :version_table;
