-- Enters: table_name, renamed. Leaves: the synced table under the name that it has now, for its views too.

update cdc_sync.captured set table_name = :renamed where table_name = :table_name;
update cdc_sync.captured set base = :renamed where base = :table_name;
