-- Unique keys that hold for every row: no partial indexes, no expressions.
-- Enters: names (text[]). Leaves: asked, number of the key, primary, column, whether a second row is refused at once; columns in key order.

select asked.name, i.indexrelid::bigint, i.indisprimary, a.attname, i.indimmediate
from unnest(cast(:names as text[])) as asked (name)
join pg_index i on i.indrelid = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
cross join lateral unnest(i.indkey) with ordinality as k (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null and k.place <= i.indnkeyatts
order by asked.name, not i.indisprimary, i.indexrelid, k.place;
