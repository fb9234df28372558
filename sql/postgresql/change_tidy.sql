-- Gives the space of a drained change table back, if it is worth it and nobody writes to the table at this moment.
-- Small ones are left to vacuum: truncating them after every seal would cost more than it gives.
-- Enters: change. Leaves: an empty file where there was much space; an error if the lock was not free.

do $block$
begin
    if pg_relation_size(to_regclass('cdc_sync.' || quote_ident(:'change'))) > 16 * 1024 * 1024 then
        lock table cdc_sync.:"change" in access exclusive mode nowait;
        if not exists (select from cdc_sync.:"change") then
            truncate cdc_sync.:"change";
        end if;
    end if;
end
$block$;
