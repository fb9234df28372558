-- Enters: id. Leaves: everything but that letter.

delete from cdc_sync_letter where id = :id;
