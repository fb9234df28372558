-- The columns on which unique keys hang otherwise than by equal values: through expressions, conditions and generated
-- columns, by operators (exclusion), and where two nulls are one value.
-- Enters: names (text[]). Leaves: asked, column.

with odd as (
    select asked.name, i.indrelid, i.indexrelid
    from unnest(cast(:names as text[])) as asked (name)
    join pg_index i on i.indrelid = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
        (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
    where i.indisvalid and (i.indisexclusion or i.indisunique and (
        i.indpred is not null or i.indexprs is not null or to_jsonb(i) ->> 'indnullsnotdistinct' = 'true'
        or exists (
            select from pg_attribute a
            where a.attrelid = i.indrelid and a.attnum = any (i.indkey) and a.attgenerated <> '')))
), reached as (
    select odd.name, odd.indrelid, d.refobjsubid as attnum
    from odd
    left join pg_constraint c on c.conindid = odd.indexrelid and c.conrelid = odd.indrelid
    join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = odd.indrelid and d.refobjsubid > 0
    where (d.classid = 'pg_class'::regclass and d.objid = odd.indexrelid)
        or (d.classid = 'pg_constraint'::regclass and d.objid = c.oid)
), behind as (
    select reached.name, reached.indrelid, d.refobjsubid as attnum
    from reached
    join pg_attrdef f on f.adrelid = reached.indrelid and f.adnum = reached.attnum
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass
        and d.refobjid = f.adrelid and d.refobjsubid > 0
)
select distinct found.name, a.attname
from (select * from reached union all select * from behind) as found
join pg_attribute a on a.attrelid = found.indrelid and a.attnum = found.attnum
where a.attgenerated = ''
order by 1, 2;
