-- Enters: table_name, origin, row_key, image. Leaves: that is what the origin sent last of the row.

insert into cdc_sync.base (table_name, origin, row_key, image) values (:table_name, :origin, :row_key, :image)
on conflict (table_name, origin, row_key) do update set image = excluded.image;
