-- Enters: table_name, origin, graves (JSON array of [row_key, at], each key once). Leaves: the rows are known to have gone.

insert into cdc_sync.tombstone (table_name, row_key, origin, at)
select cast(:table_name as text), grave ->> 0, cast(:origin as text), grave ->> 1
from json_array_elements(cast(:graves as json)) with ordinality as asked (grave, place) order by place
on conflict (table_name, row_key) do update set origin = excluded.origin, at = excluded.at
where excluded.at >= tombstone.at;
