-- Gives the space of a drained change table back, if nobody writes to it at this moment.
-- Enters: change. Leaves: an empty file, or an error that the lock was not free.

lock table cdc_sync.:"change" in access exclusive mode nowait;
do $block$
begin
    if not exists (select from cdc_sync.:"change") then
        truncate cdc_sync.:"change";
    end if;
end
$block$;
