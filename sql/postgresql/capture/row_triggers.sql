-- Enters: table (quoted), the functions' names, for capture = "row".
-- Leaves: the table's triggers.

create or replace trigger cdc_sync_insert after insert on :{table}
    for each row execute function cdc_sync.:"insert_function"();

create or replace trigger cdc_sync_update after update on :{table}
    for each row execute function cdc_sync.:"update_function"();

create or replace trigger cdc_sync_delete after delete on :{table}
    for each row execute function cdc_sync.:"delete_function"();
