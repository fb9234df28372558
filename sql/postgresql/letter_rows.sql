-- Enters: id. Leaves: how that letter's changes are encoded, and themselves.

select encoding, keyed, counts, data from cdc_sync.letter where id = :id;
