-- The triggers of a table with partitions or children, and of each of these: a statement that names one of them fires none
-- of the others'.
-- Enters: table (quoted), the functions' names, of which there is none for keys: updates are paired (pairing.sql).
-- Leaves: the table's triggers.

create or replace trigger cdc_sync_insert after insert on :{table}
    referencing new table as new_rows
    for each statement execute function cdc_sync.:"insert_function"();

create or replace trigger cdc_sync_update after update on :{table}
    referencing old table as old_rows new table as new_rows
    for each statement execute function cdc_sync.:"update_function"();

create or replace trigger cdc_sync_delete after delete on :{table}
    referencing old table as old_rows
    for each statement execute function cdc_sync.:"delete_function"();

create or replace trigger cdc_sync_truncate before truncate on :{table}
    for each statement execute function cdc_sync.:"truncate_function"();
