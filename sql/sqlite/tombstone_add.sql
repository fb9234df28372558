-- Enters: table_name, origin, graves (JSON array of [row_key, at], each key once). Leaves: the rows are known to have gone.

insert into cdc_sync_tombstone (table_name, row_key, origin, at)
select :table_name, json_extract(value, '$[0]'), :origin, json_extract(value, '$[1]') from json_each(:graves) where true
on conflict (table_name, row_key) do update set origin = excluded.origin, at = excluded.at
where excluded.at >= cdc_sync_tombstone.at;
