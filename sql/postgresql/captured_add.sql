-- Enters: table_name, change_table, base, shape, settings, declared, digest, included. Leaves: one synced table or view more.

insert into cdc_sync.captured (table_name, change_table, base, shape, settings, declared, digest, included)
values (:table_name, :change_table, :base, :shape, :settings, :declared, :digest, :included);
