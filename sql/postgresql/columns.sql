-- The columns of tables and views. Domains are looked through: a change table must hold NULL where a domain may not.
-- Enters: names (text[]), as written in the configuration; a name without schema is looked up on the search_path.
-- Leaves: asked, schema, table, column, type name, declared type, not null, generated, supplied, identity always,
-- partitioned, the table it belongs to, whether row-level security hides rows from this role, whether it is a view,
-- collation where it is not its type's.

select asked.name, n.nspname, c.relname, a.attname,
       case when b.typcategory = 'A' then 'array' when b.typtype = 'e' then 'enum' else b.typname end,
       format_type(b.oid, case when t.typtype = 'd' then t.typtypmod else a.atttypmod end),
       a.attnotnull or (t.typtype = 'd' and t.typnotnull),
       a.attgenerated <> '',
       a.attidentity <> '' or (a.atthasdef and a.attgenerated = '') or t.typdefault is not null,
       a.attidentity = 'a',
       c.relkind = 'p',
       (select i.inhparent::regclass::text from pg_inherits i where i.inhrelid = c.oid order by i.inhseqno limit 1),
       row_security_active(c.oid),
       c.relkind in ('v', 'm'),
       case when a.attcollation <> b.typcollation then (
           select quote_ident(cn.nspname) || '.' || quote_ident(o.collname)
           from pg_collation o join pg_namespace cn on cn.oid = o.collnamespace where o.oid = a.attcollation) end
from unnest(cast(:names as text[])) as asked (name)
join pg_class c on c.oid = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then
    (with recursive base as (
        select t.oid, t.typtype, t.typbasetype
        union all
        select p.oid, p.typtype, p.typbasetype from base join pg_type p on p.oid = base.typbasetype
        where base.typtype = 'd')
     select oid from base where typtype <> 'd')
    else t.oid end
where c.relkind in ('r', 'p', 'v', 'm')
order by asked.name, a.attnum;
