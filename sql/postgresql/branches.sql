-- Tables whose rows are also rows of another: partitions at any depth, inheritance children.
-- Enters: names (text[]). Leaves: asked, schema, table.

with recursive branch as (
    select asked.name, i.inhrelid as oid
    from unnest(cast(:names as text[])) as asked (name)
    join pg_inherits i on i.inhparent = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
    union all
    select branch.name, i.inhrelid from branch join pg_inherits i on i.inhparent = branch.oid
)
select distinct branch.name, n.nspname, c.relname
from branch
join pg_class c on c.oid = branch.oid and c.relkind in ('r', 'p') and c.relpersistence <> 't'
join pg_namespace n on n.oid = c.relnamespace
order by branch.name, n.nspname, c.relname;
