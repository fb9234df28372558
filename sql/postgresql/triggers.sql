-- Our triggers, as found, for comparison with what should be there.
-- Enters: nothing. Leaves: schema, table, trigger, function called, enabled state (L: less than this role can have it).

select n.nspname, c.relname, t.tgname, p.proname, 
    case when t.tgenabled = 'O' and pg_has_role(c.relowner, 'usage') then 'L' else t.tgenabled::text end
from pg_trigger t
join pg_proc p on p.oid = t.tgfoid
join pg_namespace pn on pn.oid = p.pronamespace and pn.nspname = 'cdc_sync'
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal;
