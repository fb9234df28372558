-- Our triggers fire whatever role a session plays in another replication. Only a table's owner may say so; for another role
-- they fire for ordinary sessions, and doctor says it.
-- Enters: table (quoted). Leaves: its triggers of ours, enabled always.

do $block$
declare
    ours name;
begin
    for ours in
        select t.tgname from pg_trigger t join pg_proc p on p.oid = t.tgfoid
        where t.tgrelid = :'table'::regclass and t.tgparentid = 0 and p.pronamespace = 'cdc_sync'::regnamespace
    loop
        execute format('alter table %s enable always trigger %I', :'table', ours);
    end loop;
exception when insufficient_privilege then
    null;
end
$block$;
