-- Views, as the catalogue has them. What they call stands in their rules as they were understood: with types and overloads.
-- Enters: names (text[]), as written in the configuration.
-- Leaves: asked, whether it is materialized, definition, whether triggers or rules say what is to be done when it is
--   written, whether it takes inserts, updates and deletes, whether there are aggregates in it, whether functions in it
--   return sets, and what in it may have another answer another time or under other settings (not immutable).

select asked.name, c.relkind = 'm', pg_get_viewdef(c.oid),
    exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgtype & 64 <> 0 and t.tgenabled in ('O', 'A'))
        or exists (select from pg_rewrite w where w.ev_class = c.oid and w.ev_type <> '1'),
    pg_relation_is_updatable(c.oid, true) & 28 = 28,
    rule.tree ~ '^\(\{QUERY [^{]*[:]hasAggs true',
    rule.tree ~ '^\(\{QUERY [^{]*[:]hasTargetSRFs true',
    array(
        select p.oid::regprocedure::text
        from pg_proc p
        where p.provolatile <> 'i' and p.oid <> all (rule.texts) and p.oid in (
            select cast(found.oid[2] as oid) from regexp_matches(rule.tree, '[:](funcid|aggfnoid|winfnoid) (\d+)', 'g') as found (oid))
        union all
        select 'operator ' || o.oprname
        from pg_operator o
        join pg_proc p on p.oid = o.oprcode and p.provolatile <> 'i' and p.oid <> all (rule.texts)
        where o.oid in (
            select cast(number as oid)
            from regexp_matches(rule.tree, '[:]opnos? (\(o )?([\d ]+)', 'g') as found (numbers),
                regexp_split_to_table(trim(found.numbers[2]), ' ') as number)
        union all
        select 'cast(… as ' || format_type(y.oid, null) || ')'
        from pg_type y
        join pg_proc p on p.oid = y.typinput and p.provolatile <> 'i'
        where y.oid in (
            select cast(found.oid[1] as oid) from regexp_matches(rule.tree, '[:]resulttype (\d+) [:]resultcollid', 'g') as found (oid))
        union all
        select 'cast(' || format_type(y.oid, null) || ' as …)'
        from pg_type y
        join pg_proc p on p.oid = y.typoutput and p.provolatile <> 'i'
        where y.oid in (
            select cast((regexp_match(piece, '[:](vartype|consttype|\w*resulttype|casetype|coalescetype|minmaxtype|type) (\d+)'))[2] as oid)
            from regexp_split_to_table(rule.tree, '\{COERCEVIAIO ') with ordinality as pieces (piece, place)
            where place > 1))
from unnest(cast(:names as text[])) as asked (name)
join pg_class c on c.relkind in ('v', 'm') and c.oid = coalesce(to_regclass(quote_ident(asked.name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(asked.name, '.')) as part)))
join pg_rewrite r on r.ev_class = c.oid and r.ev_type = '1'
cross join lateral (
    select made.tree, array(
        -- Functions that take anything for text are only as steady as its output; here, all that there is in the view is.
        select p.oid from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname in ('concat', 'concat_ws', 'format', 'anytextcat', 'textanycat')
            and not exists (
                select from pg_type y
                join pg_proc o on o.oid = y.typoutput and o.provolatile <> 'i'
                where y.oid in (
                    select cast(found.oid[2] as oid)
                    from regexp_matches(made.tree, '[:](vartype|consttype|\w*resulttype|casetype|coalescetype|minmaxtype) (\d+)', 'g')
                        as found (oid))))
    from (select r.ev_action::text) as made (tree)) as rule (tree, texts)
order by asked.name;
