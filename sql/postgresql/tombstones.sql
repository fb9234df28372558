-- Enters: table_name, origin, row_keys (JSON array). Leaves: those of the keys whose rows went by others' doing than that
-- origin's, and when. (Lateral with an offset: each key is looked up, whatever is guessed of how many there are.)

select found.row_key, found.at
from json_array_elements_text(cast(:row_keys as json)) asked (row_key)
cross join lateral (
    select t.row_key, t.origin, t.at from cdc_sync.tombstone t
    where t.table_name = :table_name and t.row_key = asked.row_key offset 0) found
where found.origin <> :origin;
