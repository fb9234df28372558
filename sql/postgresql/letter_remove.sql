-- Enters: id. Leaves: everything but that letter.

delete from cdc_sync.letter where id = :id;
