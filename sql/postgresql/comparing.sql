-- What a table's columns leave out of account when they compare texts.
-- Enters: name (as written in the configuration). Leaves: column, what it ignores (nothing where bytes decide), and what to
-- type so that bytes decide.

with found as (
    select a.attname, c.oid::regclass as relation, b.typname, (
        select max(o.collname) from pg_collation o
        where not o.collisdeterministic and (o.oid = a.attcollation or o.oid in (
            select k.collated from pg_index i, unnest(i.indkey, i.indcollation) as k (attnum, collated)
            where i.indrelid = c.oid and i.indisunique and k.attnum = a.attnum))) as loose
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
    where c.oid = coalesce(to_regclass(quote_ident(:name)), to_regclass(
        (select string_agg(quote_ident(part), '.') from unnest(string_to_array(:name, '.')) as part)))
)
select attname,
    case when loose is not null then 'what collation ' || quote_ident(loose) || ' ignores'
        when typname = 'citext' then 'case'
        when typname = 'bpchar' then 'blanks at the end'
        else '' end,
    format('alter table %s alter column %I type text collate "C"', relation, attname)
from found;
