-- Foreign keys.
-- Enters: names (text[]). Leaves: asked, number of the key, column, schema and table referred to, column there, visible without schema.

select asked.name, f.oid::bigint, a.attname, pn.nspname, p.relname, pa.attname, pg_table_is_visible(p.oid)
from unnest(cast(:names as text[])) as asked (name)
join pg_constraint f on f.contype = 'f' and f.conparentid = 0 and f.conrelid = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
cross join lateral unnest(f.conkey, f.confkey) with ordinality as k (own, other, place)
join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.own
join pg_class p on p.oid = f.confrelid
join pg_namespace pn on pn.oid = p.relnamespace
join pg_attribute pa on pa.attrelid = f.confrelid and pa.attnum = k.other
order by asked.name, f.oid, k.place;
