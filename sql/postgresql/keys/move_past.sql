-- Has the sequence behind a column go on after a number that arrived, so that the next row of the application's gets a free
-- one. In steps of its own, because nodes may share numbers out by them; and by nextval where it is near, because another
-- session may move it on in the same moment, which setval would undo.
-- Enters: table_name (quoted), column_name, highest. Leaves: for each such sequence, whether this role may move it.

with behind as (
    select s.oid, q.seqincrement as step, q.seqmax as most, q.seqstart - q.seqincrement as before_first,
        has_sequence_privilege(s.oid, 'update') and has_sequence_privilege(s.oid, 'usage') as allowed
    from pg_attribute a
    left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
    join pg_depend d on (d.classid = 'pg_attrdef'::regclass and d.objid = f.oid and d.refclassid = 'pg_class'::regclass)
        or (d.classid = 'pg_class'::regclass and d.deptype = 'i' and d.refclassid = 'pg_class'::regclass
            and d.refobjid = a.attrelid and d.refobjsubid = a.attnum)
    join pg_class s on s.relkind = 'S' and s.oid = case when d.deptype = 'i' then d.objid else d.refobjid end
    join pg_sequence q on q.seqrelid = s.oid and q.seqincrement > 0
    where a.attrelid = cast(:table_name as regclass) and a.attname = :column_name
), steps as (
    select oid, step, most, allowed, last, floor((cast(:highest as numeric) - last) / step) as count
    from behind
    cross join lateral (
        select coalesce(case when allowed then pg_sequence_last_value(oid) end, before_first) as last) as reached
)
select allowed, case
    when not allowed or count <= 0 or last + count * step > most then null
    when count <= 1000 then (select max(n) from (select nextval(oid) as n from generate_series(1, cast(count as integer))) as moved)
    else setval(oid, cast(last + count * step as bigint)) end
from steps;
