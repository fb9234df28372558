-- Capture for one partition or child of a captured table: a statement that names it fires none of its parent's triggers.
-- Enters: branch (its quoted name), and the names of the parent's trigger functions. Leaves: its own triggers.

create trigger cdc_sync_insert after insert on :{branch}
    referencing new table as new_rows for each statement execute function cdc_sync.:"insert_function"();

create trigger cdc_sync_update after update on :{branch}
    referencing old table as old_rows new table as new_rows
    for each statement execute function cdc_sync.:"update_function"();

create trigger cdc_sync_delete after delete on :{branch}
    referencing old table as old_rows for each statement execute function cdc_sync.:"delete_function"();

create trigger cdc_sync_truncate before truncate on :{branch}
    for each statement execute function cdc_sync.:"truncate_function"();
