-- What tells whether anything that describes tables has changed: the versions of their rows in the catalogue. A tenth of
-- what reading them costs. Partitions and children belong to their tables; types, to the columns that are of them; tables,
-- to the views that select from them.
-- (Arrays, because a join with few tables still reads the whole catalogue. The names twice unnested, so that how many they
-- are is no reason to plan anew each time, which took 1.6 of 2 ms.)
-- Enters: names (text[]), as written in the configuration. Leaves: one text, another one after every such change.

with recursive table_of (oid) as (
    select coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
        (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))::oid
    from unnest(array(select unnest(cast(:names as text[])))) as asked (name)
    union
    select b.oid from table_of t
    cross join lateral (
        select i.inhrelid as oid from pg_inherits i where i.inhparent = t.oid
        union all
        select d.refobjid
        from pg_rewrite r
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
        where r.ev_class = t.oid
        offset 0) b
),
those (oids) as materialized (select array_agg(oid) from table_of),
type_of (oid) as (
    select a.atttypid from pg_attribute a where a.attrelid = any ((select oids from those)::oid[]) and a.attnum > 0
    union
    select y.typbasetype from type_of o
    cross join lateral (select typbasetype from pg_type where pg_type.oid = o.oid and typbasetype <> 0 offset 0) y
),
version (said) as (
    select 'c' || c.oid || c.ctid || c.xmin || n.xmin from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = any ((select oids from those)::oid[])
    union all
    select 'a' || attrelid || ctid || xmin from pg_attribute where attrelid = any ((select oids from those)::oid[])
    union all
    select 'i' || indexrelid || ctid || xmin from pg_index where indrelid = any ((select oids from those)::oid[])
    union all
    select 'k' || oid || ctid || xmin from pg_constraint where conrelid = any ((select oids from those)::oid[])
    union all
    select 't' || oid || ctid || xmin from pg_trigger where tgrelid = any ((select oids from those)::oid[])
    union all
    select 'r' || oid || ctid || xmin from pg_rewrite where ev_class = any ((select oids from those)::oid[])
    union all
    select 'h' || inhrelid || '<' || inhparent || xmin from pg_inherits
    where inhparent = any ((select oids from those)::oid[]) or inhrelid = any ((select oids from those)::oid[])
    union all
    select 'y' || oid || ctid || xmin from pg_type where oid = any (array(select oid from type_of))
)
select string_agg(said, ' ' order by said collate "C") from version;
