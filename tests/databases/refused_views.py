"""Views that are no proxies of one table, each with what is said of it; the view is called ``v``."""

# ruff: noqa: E501

SCHEMA = """
create table item (id {pk}, name text, code text, n integer, born date, twice integer generated always as (n * 2) stored);
create table other (id {pk}, name text, n integer);
create view grouped as select n, count(*) as many from item group by n;
create view inner_plain as select id, name, n, name || '!' as loud from item where n > 1;
"""

SQLITE = """
create virtual table words using fts5(body);
create table marked (id integer primary key, name text collate mine, code text);
create view cased as select id, upper(name) collate nocase as name from item;
"""

POSTGRESQL = """
create materialized view kept as select id, name from item;
create view cased as select id, upper(name) collate "C" as name from item;
create function drawn(integer) returns integer language sql as 'select $1 + floor(random() * 10)::integer';
"""

BOTH = {
    "select i.id from item i join other o on o.id = i.id": "it has a join",
    "select i.id from item i left join other o on o.id = i.id": "it has a join (left join)",
    "select i.id from item i cross join other o": "it has a join (two tables after from)",
    "select i.id from item i, other o": "it has a join (two tables after from)",
    "select count(*) as many from item": "it has an aggregate",
    "select max(n) as most from item": "it has an aggregate",
    "select n, sum(id) as total from item group by n": "it has group by",
    "select n from item group by n having count(*) > 1": "it has group by",
    "select distinct name from item": "it has distinct",
    "select id, row_number() over (order by n) as place from item": "it has a window function",
    "select id, sum(n) over (partition by name) as total from item": "it has a window function",
    "select id from item limit 5": "it has a limit",
    "select id from item order by n limit 5 offset 2": "it has a limit",
    "select id from item union select id from other": "it puts queries together (union)",
    "select id from item union all select id from other": "it puts queries together (union)",
    "select id from item intersect select id from other": "it puts queries together (intersect)",
    "select id from item except select id from other": "it puts queries together (except)",
    "with few as (select * from item) select id from few": "it has a with clause",
    "select id, (select max(n) from other) as most from item": "it has a subquery",
    "select id from item where n in (select n from other)": "it has a subquery",
    "select id from item where exists (select 1 from other o where o.id = item.id)": "it has a subquery",
    "select s.id from (select id from item) s": "it selects from a subquery",
    "select 1 as one": "it selects from no table",
    "values (1, 'a')": "it has values instead of a table",
    "select n, many from grouped": (
        "it selects from another (view 'grouped' is no proxy of one table: it has group by)"
    ),
    "select id from item where born > current_date": "it has current_date, whose answer is not always the same",
    "select id, current_timestamp as now from item": "it has current_timestamp, whose answer is not always the same",
    "select id, random() as r from item": "it has random(), whose answer is not always the same",
    "select id, loud from inner_plain where random() > 0": "it has random(), whose answer is not always the same",
    "select id, twice + 1 as more from item": (
        "it computes with 'twice', a generated column, whose value is not captured"
    ),
    "select id from item where twice > 4": "it computes with 'twice', a generated column, whose value is not captured",
    "select id from cased where name = 'A'": "it computes with 'name' of view 'cased', which has a collation of its own",
}

ONLY_SQLITE = {
    "select i.id from item i natural join other o": "it has a join (natural join)",
    "select id, total(n) as t from item": "it has an aggregate",
    "select id, group_concat(name) as t from item": "it has an aggregate",
    "select id from item where born > date('now')": "it has date(), whose answer is not always the same",
    "select id, strftime('%Y') as year from item": "it has strftime(), whose answer is not always the same",
    "select id, datetime(born, 'localtime') as here from item": "it has datetime(), whose answer is not always the same",
    "select id, date(born, name) as told from item": "it has date(), whose answer is not always the same",
    "select id, last_insert_rowid() as last from item": (
        "it has last_insert_rowid(), whose answer is not always the same"
    ),
    "select id, soundex(name) as s from item": "it has soundex(), and nothing is known of its answers",
    "select id from item where name regexp '^a'": "it has regexp, which is whatever an application makes of it",
    "select body from words": "it selects from 'words', a virtual table",
    "select value from json_each('[1]')": "it selects from a function",
    "select name from sqlite_master": "it selects from 'sqlite_master', which is no table that can be synced",
    "select id from nowhere": "SQLite itself cannot read it",
    "select id, missing from item": "SQLite itself cannot read it",
    "select v.id from v": "SQLite itself cannot read it",
    "select id from marked where name = 'a'": "it computes with 'name', whose collation is an application's own",
    "select id, code = 'a' collate mine as same from marked": "SQLite itself cannot read it",
    "select rowid, name from inner_plain": "it reads 'rowid', the row's number, which is no column of 'inner_plain'",
}

ONLY_POSTGRESQL = {
    "select i.id from item i natural join other o": "it has a join",
    "select distinct on (n) id, n from item": "it has distinct",
    "select id from item offset 2": "it has an offset",
    "select id from item fetch first 3 rows only": "it has a limit",
    "select id from item for update": "it has a lock on its rows",
    "select id from only item": "it has only",
    "select id from item tablesample system (10)": "it has a sample",
    "select i.id, l.n from item i, lateral (select i.n + 1 as n) l": "it has a lateral join",
    "select g as id from generate_series(1, 3) g": "it selects from a function",
    "select id, generate_series(1, n) as g from item": "it has a function that returns a set",
    "select id, string_agg(name, ',') as s from item group by id": "it has group by",
    "select id, name from item where id = pg_backend_pid()": (
        "it has pg_backend_pid(), whose answer is not always the same"
    ),
    "select id, now() as now from item": "it has now(), whose answer is not always the same",
    "select id, to_char(born, 'YYYY') as year from item": (
        "it has to_char(timestamp with time zone,text), whose answer is not always the same"
    ),
    "select id, born::text as born from item": "it has cast(date as …), whose answer is not always the same",
    "select id, name::date as born from item": "it has cast(… as date), whose answer is not always the same",
    "select id, born + interval '1 day' > now() as late from item": (
        "it has now(), whose answer is not always the same"
    ),
    "select id, born < timestamptz '2020-01-01 00:00+00' as old from item": (
        "it has operator <, whose answer is not always the same"
    ),
    "select id, concat(born, ' ', name) as both_of from item": 'it has concat("any"), whose answer is not always the same',
    "select id, drawn(n) as n from item": "it has drawn(integer), whose answer is not always the same",
    "select id, current_user as who from item": "it has current_user, whose answer is not always the same",
    "select id, item as whole from item": "it has the whole row (*) as a value",
    "select id, ctid as place from item": "it reads 'ctid', which is no column of 'item'",
    "select id, name from kept": (
        "it selects from another (view 'kept' is no proxy of one table: "
        "it is materialized, and shows its table as it was when it was refreshed)"
    ),
    "select relname as name from pg_class": "it selects from 'pg_class', which is no table that can be synced",
    "select i.a from item i (a, b)": "it gives the columns of its table other names after from",
    "select pk from (item i join other o using (id)) as j (pk)": "it has a join",
}
