-- Enters: table_name, row_key, origin, at. Leaves: the row is known to be deleted.

insert into cdc_sync_tombstone (table_name, row_key, origin, at) values (:table_name, :row_key, :origin, :at)
on conflict (table_name, row_key) do update set origin = excluded.origin, at = excluded.at
where excluded.at >= cdc_sync_tombstone.at;
