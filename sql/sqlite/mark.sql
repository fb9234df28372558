-- What tells whether anything that describes tables has changed. The number of the schema alone would not do: one that a
-- transaction reached and gave up comes again.
-- A view stands on others, which only their texts name: it hangs on everything.
-- Enters: names (JSON array). Leaves: one text, another one after every such change.

select (select schema_version from pragma_schema_version) || ' ' || coalesce(group_concat(rootpage || ' ' || sql, ' '), '')
from sqlite_master
where lower(tbl_name) in (select lower(value) from json_each(:names))
    or exists (
        select 1 from sqlite_master v
        where v.type = 'view' and lower(v.name) in (select lower(value) from json_each(:names)));
