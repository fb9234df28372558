-- Enters: tables (a JSON list). Leaves: rows of them, and of tables that refer to them, that point at no row:
-- table, rowid, parent's table, number of the foreign key.

select m.name, broken.rowid, broken.parent, broken.fkid
from sqlite_master m, pragma_foreign_key_check(m.name) broken
where m.type = 'table' and (
    lower(m.name) in (select lower(value) from json_each(:tables))
    or exists (
        select 1 from pragma_foreign_key_list(m.name) parent
        where lower(parent."table") in (select lower(value) from json_each(:tables))));
