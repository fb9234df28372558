-- Enters: nothing. Leaves: the names under which views can be configured.

select case when pg_table_is_visible(c.oid) then c.relname else n.nspname || '.' || c.relname end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'v'
    and n.nspname not in ('pg_catalog', 'information_schema', 'cdc_sync') and n.nspname !~ '^pg_'
order by 1;
