-- Enters: table (quoted), the functions' names, for capture = "row".
-- Leaves: the table's triggers. They fire in the order of their names: one of the application's that writes the same row
-- again is to come after ours.

create or replace trigger "0_cdc_sync_insert" after insert on :{table}
    for each row execute function cdc_sync.:"insert_function"();

create or replace trigger "0_cdc_sync_update" after update on :{table}
    for each row execute function cdc_sync.:"update_function"();

create or replace trigger "0_cdc_sync_delete" after delete on :{table}
    for each row execute function cdc_sync.:"delete_function"();
