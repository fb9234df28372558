-- Enters: table_name, change_table, shape, digest. Leaves: one synced table more.

insert into cdc_sync.captured (table_name, change_table, shape, digest)
values (:table_name, :change_table, :shape, :digest);
