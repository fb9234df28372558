-- Enters: table_name, request. Leaves: the table, to be resynced from its first row on.

insert into cdc_sync.resync (table_name, request) values (:table_name, :request);
