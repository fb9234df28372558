-- Enters: table_name, and what changed of it: change_table, base, shape, settings, declared, digest, included. Leaves: the synced table so.

update cdc_sync.captured
set change_table = :change_table, base = :base, shape = :shape, settings = :settings, declared = :declared, digest = :digest, included = :included
where table_name = :table_name;
