-- Deletes sealed changes, a few at a time so that no writer waits long, and never the newest.
-- Enters: change, change_table, most. Leaves: at most that many fewer.

delete from :"change" where cdc_sync_seq in (
    select cdc_sync_seq from :"change"
    where cdc_sync_seq < (select sealed from cdc_sync_captured where change_table = :change_table)
    order by cdc_sync_seq limit :most
);
