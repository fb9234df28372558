-- Whether anything writes when a table, or a partition or child of it, is written: triggers of the application, cascading
-- foreign keys.
-- Enters: schema, name. Leaves: one row if so.

select 1
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = :schema
cross join lateral (select c.oid as oid union select cdc_sync.branches(c.oid::regclass)::oid) r
join pg_trigger t on t.tgrelid = r.oid
join pg_proc p on p.oid = t.tgfoid
join pg_namespace pn on pn.oid = p.pronamespace
where c.relname = :name
    and pn.nspname <> 'cdc_sync' and (not t.tgisinternal or p.proname ~ '^RI_FKey_(cascade|setnull|setdefault)_')
limit 1;
