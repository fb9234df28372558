-- Enters: table_name, origin. Leaves: what that origin sent last of each row there, by the row's place.

select row_key, image from cdc_sync_base where table_name = :table_name and origin = :origin;
