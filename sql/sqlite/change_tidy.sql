-- Deletes sealed changes that are in the table of known rows, a few at a time so that no writer waits long, and never the newest.
-- Enters: change, change_table. Leaves: as many fewer.

delete from :"change" where cdc_sync_seq < (
    select min(sealed, known + 1) from cdc_sync_captured where change_table = :change_table);
