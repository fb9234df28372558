-- Enters: destination, said. Leaves: what was said of the destination.

insert into cdc_sync_told (destination, said) values (:destination, :said)
on conflict (destination) do update set said = excluded.said;
