-- Enters: table_name. Leaves: keys of rows that were deleted there, with origin and time.

select row_key, origin, at from cdc_sync.tombstone where table_name = :table_name;
