-- Enters: peer, origin, message, hint, since. Leaves: it noted; an earlier one with the same message keeps its time.

insert into cdc_sync_trouble (peer, origin, message, hint, since) values (:peer, :origin, :message, :hint, :since)
on conflict (peer, origin) do update set message = excluded.message, hint = excluded.hint,
    since = case when cdc_sync_trouble.message = excluded.message then cdc_sync_trouble.since else excluded.since end;
