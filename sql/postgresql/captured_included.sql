-- Enters: table_name. Leaves: whether the rows that stood in the table were captured.

select included from cdc_sync.captured where table_name = :table_name;
