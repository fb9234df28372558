-- Enters: tables (text[], quoted), rights (text[]). Leaves: table and right, for every right on a table that this role lacks.

select t.name, r.name
from unnest(cast(:tables as text[])) as t (name), unnest(cast(:rights as text[])) as r (name)
where not has_table_privilege(t.name, r.name)
order by 1, 2;
