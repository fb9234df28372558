-- Enters: table (quoted), the functions' names, old_table ("old table as old_rows " where an update's old rows are asked for).
-- Leaves: the table's triggers.

create or replace trigger cdc_sync_insert after insert on :{table}
    referencing new table as new_rows
    for each statement execute function cdc_sync.:"insert_function"();

create or replace trigger cdc_sync_update after update on :{table}
    referencing :{old_table}new table as new_rows
    for each statement execute function cdc_sync.:"update_function"();

create or replace trigger cdc_sync_delete after delete on :{table}
    referencing old table as old_rows
    for each statement execute function cdc_sync.:"delete_function"();

-- It fires before those of the application that write the same row again, in the order of their names.
create or replace trigger "0_cdc_sync_key" after update on :{table}
    for each row when (cdc_sync.:"changed_function"(old, new)) execute function cdc_sync.:"key_function"();

create or replace trigger cdc_sync_truncate before truncate on :{table}
    for each statement execute function cdc_sync.:"truncate_function"();
