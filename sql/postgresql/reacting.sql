-- Whether anything writes when a table is written: triggers of the application, cascading foreign keys.
-- Enters: schema, name. Leaves: one row if so.

select 1
from pg_trigger t
join pg_class c on c.oid = t.tgrelid and c.relname = :name
join pg_namespace n on n.oid = c.relnamespace and n.nspname = :schema
join pg_proc p on p.oid = t.tgfoid
join pg_namespace pn on pn.oid = p.pronamespace
where pn.nspname <> 'cdc_sync' and (not t.tgisinternal or p.proname ~ '^RI_FKey_(cascade|setnull|setdefault)_')
limit 1;
