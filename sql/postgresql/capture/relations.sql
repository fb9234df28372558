-- Enters: nothing. Leaves: every table that a seal reads, quoted.

select r.relation::text
from cdc_sync.captured c
cross join lateral (select coalesce(to_regclass(quote_ident(c.table_name)), to_regclass(
    (select string_agg(quote_ident(part), '.') from unnest(string_to_array(c.table_name, '.')) as part))) as relation) r
where r.relation is not null
order by 1;
