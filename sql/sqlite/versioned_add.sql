-- Enters: table_name, version_table, declared. Leaves: the table is known to have versions.

insert into cdc_sync_versioned (table_name, version_table, declared) values (:table_name, :version_table, :declared)
on conflict (table_name) do update set version_table = excluded.version_table, declared = excluded.declared;
