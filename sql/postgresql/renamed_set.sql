-- Enters: origin, renames (as JSON). Leaves: the origin's renames.

insert into cdc_sync.renamed (origin, renames) values (:origin, :renames)
on conflict (origin) do update set renames = excluded.renames;
