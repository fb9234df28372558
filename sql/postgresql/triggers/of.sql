-- The application's triggers that fire when rows of tables are applied, but for those that ask themselves whether to.
-- Enters: schemas, names (text[], of the same length). Leaves: schema, table, trigger, whether it always fires, whether this
-- role may have it rest; in one order for everybody who locks the tables.

select n.nspname, c.relname, t.tgname, t.tgenabled = 'A', pg_has_role(c.relowner, 'usage')
from unnest(cast(:schemas as text[]), cast(:names as text[])) as asked (schema, name)
join pg_namespace n on n.nspname = asked.schema
join pg_class c on c.relnamespace = n.oid and c.relname = asked.name
join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled in ('O', 'A')
join pg_proc p on p.oid = t.tgfoid
join pg_namespace pn on pn.oid = p.pronamespace
where pn.nspname <> 'cdc_sync' and position('cdc_sync.mute' in pg_get_triggerdef(t.oid) || coalesce(p.prosrc, '')) = 0
order by 1, 2, 3;
