-- Enters: name, columns, key, rows (a query, one row a place). Leaves: each of these places has that version.

insert into cdc_sync.:"name" (:{columns}) select * from (:{rows}) as stamped where true
on conflict (:{key}) do update set origin = excluded.origin, at = excluded.at;
