-- Enters: id, table_name, awaits. Leaves: the letter under its table's present name, and its parent's.

update cdc_sync_letter set table_name = :table_name, awaits = :awaits where id = :id;
