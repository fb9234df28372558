"""Views that are proxies of one table, by what is special about each; ``{rows}`` fills the table beneath them."""

# ruff: noqa: E501

SQLITE = """
create table item (
    id integer primary key, name text collate nocase, code text, n integer, r real, amount numeric(8, 2),
    active boolean, born date, data blob, misc, note varchar(20) collate rtrim, kind text not null default 'x',
    "odd ""name" text, twice integer generated always as (n * 2) virtual
);
create view inner_plain as select id as number, name as called, code, misc from item where kind = 'x';
create view inner_made as select id, upper(name) as loud, cast(n as text) as n, 'few' as few, code || '!' as c from item;
"""

POSTGRESQL = """
create domain label as varchar(20) check (value <> '');
create type mood as enum ('sad', 'happy');
create type place as (street text, number integer);
create table item (
    id integer primary key, name varchar(20), code text collate "C", n integer, r real, amount numeric(8, 2),
    active boolean, born date, data bytea, seen timestamptz, fixed char(5), kind label not null default 'x',
    "odd ""name" text, mood mood, lives place, tags text[], doc jsonb, twice integer generated always as (n * 2) stored
);
create view inner_plain as select id as number, name as called, code, tags from item where kind = 'x';
create view inner_made as select id, upper(name) as loud, n::text as n, 'few' as few, code || '!' as c from item;
"""

SQLITE_ROWS = """
insert into item (id, name, code, n, r, amount, active, born, data, misc, note, kind, "odd ""name") values
    (1, 'Abc', '5', 5, 1.5, 2.50, 1, '2020-01-31', x'6162', 5, 'end  ', 'x', 'a'),
    (2, 'ABC', 'abc', 7, 2, 3, 0, '2021-12-01', x'', '5', 'end', 'x', null),
    (3, 'abd', x'35', 'five', 'much', 'free', 1, 'now and then', 'text', x'35', '', 'y', 'A'),
    (4, null, null, null, null, null, null, null, null, null, null, 'x', 'x''y'),
    (5, '', '05', -5, -0.5, 0, 0, '', x'00ff', 5.0, ' end', 'X', '"'),
    (6, 'Émile', '7', '7', '7', '7', '1', '1999-02-28 10:00', 7, 7, 'END', 'z', 'é');
"""

POSTGRESQL_ROWS = """
insert into item (id, name, code, n, r, amount, active, born, data, seen, fixed, kind, "odd ""name", mood, lives, tags, doc)
values
    (1, 'Abc', '5', 5, 1.5, 2.50, true, '2020-01-31', '\\x6162', '2020-01-31 10:00+02', 'end', 'x', 'a', 'sad',
     row('Road', 5), '{a,b}', '{"a": 1}'),
    (2, 'ABC', 'abc', 7, 2, 3, false, '2021-12-01', '', '2021-12-01 00:00+00', 'e', 'x', null, 'happy', null, '{}', '[]'),
    (3, 'abd', '', 0, 'nan', 'nan', true, 'infinity', null, '-infinity', '', 'y', 'A', null, row(null, 1), null, null),
    (4, null, null, null, null, null, null, null, null, null, null, 'x', 'x''y', null, null, null, null),
    (5, '', '05', -5, -0.5, 0, false, '0044-03-15 BC', '\\x00ff', now(), ' end', 'X', '"', 'sad', null, '{null}', 'null'),
    (6, 'Émile', 'Zé', 100, 7, 7, true, '1999-02-28', null, null, 'END', 'z', 'é', 'happy', null, '{a}', '{"a": {"b": 2}}');
"""

BOTH = {
    "all columns": "select * from item",
    "all columns of the table by its name": "select item.* from item",
    "fewer columns": "select id, name from item",
    "other names": "select id as pk, name called from item",
    "names after the view's own": "(pk, called) as select id, name from item",
    "an alias of the table": "select i.id, i.name from item i where i.n > 3",
    "a name in another case": "select ID, Name from Item where N > 3",
    "a quoted name": 'select id, "odd ""name" from item where "odd ""name" is not null',
    "a constant": "select id, 'infant' as kind, 1 as one, -1.5 as less, null as none from item",
    "a cast": "select id, cast(n as varchar(10)) as n, cast(id as real) as r from item",
    "arithmetic": "select id, n + 1 as more, n * n - 3 as much, -n as less, id % 2 as odd from item",
    "texts put together": "select id, name || ' (' || code || ')' as label from item",
    "a case": "select id, case when n > 3 then 'much' when n is null then 'none' else 'few' end as how from item",
    "a case of a value": "select id, case kind when 'x' then 1 when 'y' then 2 end as how from item",
    "coalesce and nullif": "select id, coalesce(name, code, '-') as name, nullif(kind, 'x') as kind from item",
    "functions of texts": "select id, lower(name) as l, upper(name) as u, trim(name) as t, length(name) as n from item",
    "a part of a text": "select id, substr(name, 1, 2) as s, replace(name, 'b', 'x') as r from item",
    "functions of numbers": "select id, abs(n) as a, round(n * 2.5) as r from item",
    "a filter by equality": "select id from item where kind = 'x'",
    "a filter by several": "select id from item where kind = 'x' and active and n > 3",
    "a filter by either": "select id from item where kind = 'y' or n between 4 and 6",
    "a filter by a list": "select id from item where kind in ('x', 'y') and id not in (2, 3)",
    "a filter by null": "select id from item where name is null or n is not null",
    "a filter by a pattern": "select id from item where name like 'A%' or code like '0_'",
    "a filter by order": "select id from item where name < 'abd' and name >= 'ABC'",
    "a filter by difference": "select id from item where name is distinct from code",
    "a filter with not": "select id from item where not (active or n < 0)",
    "a filter by nothing": "select id from item where 1 = 1",
    "an order": "select id, name from item where n > 0 order by name desc, id",
    "a comment": "select id, -- the number, from nowhere\n name /* , code */ from item where n > 0 -- and so on\n",
    "parentheses": "select (id) as id, ((name)) as name from item where ((n > (3)))",
    "a column twice": "select id, name, name as again from item",
    "a view over a view": "select number, called from inner_plain where number > 1",
    "a view over what a view works out": "select id, loud || c as both_of, few from inner_made where n > '4' and few = 'few'",
    "all of a view": "select * from inner_made",
    "a generated column as it is": "select id, twice from item",
}
"""The query alone, or the view's own columns and the query."""

ONLY_SQLITE = {
    "a text that is a number's column": "select id, n = '5' as same from item where n = '5' or n > '6'",
    "a number that is a text's column": "select id, code = 5 as same from item where code = 5 or code > 6",
    "a column without a type": "select id, misc = 5 as a, misc = '5' as b, code = misc as c, n = misc as d from item",
    "a collation of a column": "select id, name = 'ABC' as same, 'ABC' = name as other from item where name = 'abc'",
    "a collation between columns": "select id, name = code as a, code = name as b, note = name as c from item",
    "a collation that is lost": "select id, substr(name, 1, 2) = 'AB' as a, name || '' = 'abc' as b from item",
    "a collation under a sign": "select id, +name = 'ABC' as a, cast(name as text) = 'ABC' as b from item",
    "a collation in a case": "select id, case name when 'abc' then 1 end as a, nullif(name, 'ABC') as b from item",
    "a collation in a list": "select id from item where name in ('abc', 'ÉMILE') or note in ('end')",
    "a collation between two": "select id, max(name, 'ABD') as a from item where name between 'ab' and 'ABD'",
    "a collation that is asked for": "select id, name = 'ABC' collate binary as a, code = 'ABC' collate nocase as b from item",
    "a type of a value": "select id, typeof(code) as a, typeof(r) as b, typeof(misc) as c, quote(data) as d from item",
    "a text in double quotes": 'select id, "few" as how from item where kind = "x"',
    "a name in brackets": "select [id], `name` from [item] where [n] > 3",
    "the row's number": "select rowid, oid as o from item where _rowid_ > 2",
    "a column of the view in its filter": "select id, upper(kind) as big from item where big = 'X'",
    "a time that is told": "select id, date(born, '+1 day') as next, strftime('%Y', born) as year from item",
    "a cast to numeric": "select id, cast(code as numeric) as a, cast(code as decimal(4, 2)) as b from item",
    "truth of a number": "select id, active is true as a, not n as b, iif(n, 1, 0) as c from item where r",
    "bits": "select id, n & 3 as a, n | 8 as b, ~n as c, n << 2 as d from item",
    "json": "select id, json_object('n', n) as doc, json_array(id, code) ->> 1 as second from item where typeof(code) <> 'blob'",
    "glob": "select id from item where name glob 'A*' or born is '' or n == 5",
    "hexadecimal": "select id, x'00ff' as a, 0x10 as b, 1e3 as c, .5 as d from item where id < 0x5",
}

ONLY_POSTGRESQL = {
    "a cast with colons": "select id, n::text as a, amount::integer as b, '5'::integer as c from item where amount <> 'nan'",
    "a domain": "select id, kind from item where kind = 'x' and kind like 'x%'",
    "an enum": "select id, mood, mood > 'sad' as better from item where mood in ('sad', 'happy')",
    "a field": "select id, (lives).street as street from item where (lives).number = 5",
    "an array": "select id, tags[1] as first from item where 'a' = any (tags) or tags @> array['b']",
    "json": "select id, doc ->> 'a' as a, doc #>> '{a,b}' as b from item where doc ? 'a'",
    "a collation of a column": "select id, code < 'a' as a, upper(code) as b from item where code > 'Z' or code = ''",
    "a collation that is asked for": 'select id, name < \'abc\' collate "C" as a from item order by name collate "C"',
    "blanks": "select id, fixed = 'end' as a, fixed::text = 'end  ' as b, length(fixed) as c from item",
    "a part of a date": "select id, extract(year from born) as y, born + 1 as next from item where isfinite(born)",
    "a part of a text": "select id, substring(name from 1 for 2) as a, position('b' in name) as b, left(name, 1) as c from item",
    "a pattern": "select id from item where name ~ '^A' or name !~~ 'a%'",
    "greatest and least": "select id, greatest(n, 6) as a, least(n, 6) as b from item",
    "a time apart": "select id, seen from item where seen > timestamptz '2020-06-01 00:00+00'",
    "a row": "select id from item where (n, id) > (5, 0) and row(n) is not null",
    "anything with a text": "select id, n || '-' || active as a, concat(n, ' ', name, null) as b, format('%s', r) as c from item",
    "truth": "select id, active is true as a, active is not false as b, active = false as c from item where active is unknown or active",
    "a backslash": "select id, name || E'\\\\' as a, '\"x\"' as b from item where name <> E'a\\\\b'",
}
