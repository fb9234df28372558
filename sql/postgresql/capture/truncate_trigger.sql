-- Enters: table (quoted), the functions' names.
-- Leaves: the trigger that captures a truncation, of whichever partition.

create or replace trigger cdc_sync_truncate before truncate on :{table}
    for each statement execute function cdc_sync.:"truncate_function"();
