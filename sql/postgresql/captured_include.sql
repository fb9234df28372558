-- Enters: table_name. Leaves: the note that the rows that stood in the table were captured.

update cdc_sync.captured set included = true where table_name = :table_name;
