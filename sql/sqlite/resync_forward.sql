-- Enters: table_name, rows (noted since), place (of the last of them), done. Leaves: the resync of the table so far.

update cdc_sync_resync set noted = noted + :rows, place = :place, done = :done where table_name = :table_name;
