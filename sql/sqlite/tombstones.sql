-- Enters: table_name, origin, row_keys (JSON array). Leaves: those of the keys whose rows went by others' doing than that
-- origin's, and when. (A cross join is made in the order in which it is written: the keys are looked up.)

select t.row_key, t.at
from json_each(:row_keys) asked
cross join cdc_sync_tombstone t
where t.table_name = :table_name and t.row_key = asked.value and t.origin <> :origin;
