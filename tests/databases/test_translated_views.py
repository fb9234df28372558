"""A view that is made in a database of another kind shows the same rows of the same table."""

import pytest

from cdc_sync import databases
from cdc_sync.core.renames import NONE, Rename, Renames
from cdc_sync.core.views import Defined
from cdc_sync.core.views.counterparts import Counterpart
from cdc_sync.databases import Mode
from cdc_sync.errors import SchemaMismatch
from tests.conftest import Make
from tests.nodes import Side

SCHEMA = """
create table item (id integer primary key, name varchar(20), kind text not null, n integer, amount numeric(8, 2),
    active boolean, born date);
"""
ROWS = [
    (1, "Abc", "x", 5, "2.5", True, "2020-01-31"),
    (2, "ABC", "y", -7, "3", False, "2021-12-01"),
    (3, "abd", "x", 0, "0", None, None),
    (4, None, "z", None, None, True, "1999-02-28"),
    (5, "", "x", 100, "-0.75", False, "2020-02-29"),
    (6, "a_c*", "X", 12, "7.25", True, "2020-01-31"),
]
CARRIED = {
    "what is plain": "select id, name as called, active from item",
    "constants": "select id, 'few' as how, 7 as seven, -1 as less, null as none from item",
    "equality": "select id from item where kind = 'x' and active",
    "a list": "select id from item where kind in ('x', 'y') and n not in (5, 7)",
    "no text": "select id from item where name is null or name is not null and n is not null",
    "numbers": "select id, n + 1 as more, n * 2 - id as much, -n as less, abs(n) as a, n % 5 as rest from item",
    "a filter of numbers": "select id from item where n between 1 and 20 or amount > 7 or n <= -7",
    "a part": "select id, n / 2 as half from item where n > 0",
    "a case": "select id, case when n > 3 then 'much' when n is null then 'none' else 'few' end as how from item",
    "a case of a value": "select id, case kind when 'x' then 1 else 2 end as how from item",
    "coalesce": "select id, coalesce(name, kind, '-') as name, nullif(kind, 'x') as other from item",
    "texts": "select id, lower(name) as l, upper(kind) as u, trim(name) as t, length(name) as n from item",
    "parts of texts": "select id, substr(name, 2, 2) as s, replace(name, 'b', '-') as r from item",
    "texts put together": "select id, name || ' (' || kind || ')' as label, kind || id as numbered from item",
    "a number as a text": "select id, cast(n as text) as n from item",
    "a truth": "select id from item where not active or active is null",
    "a truth that is said": "select id from item where active is true and not (kind = 'z')",
    "difference": "select id from item where name is distinct from kind",
    "a day": "select id from item where born >= '2020-01-31'",
    "a pattern without letters": "select id from item where name like '%*' or name like ''",
    "rounded": "select id, round(amount, 1) as r from item where amount is not null",
    "parentheses": "select id from item where (n > 3 or (n < 0 and (kind = 'y' or active))) and n * (id + 1) < 1000",
}
FROM_SQLITE = {
    "a pattern": "select id from item where name like 'ab%' and name not like '%D'",
    "a glob": "select id from item where name glob 'A*' or name glob '?bd'",
    "an order of texts": "select id from item where name < 'abc' or name > 'abd'",
    "truth of a number": "select id, iif(n, 'some', 'none') as how from item where n and not id = 1",
    "a truth that is a number": "select id from item where active = 1 and kind is not 'z'",
    "a text that is a number": "select id from item where n = '5' or n in ('0', 12)",
    "double quotes": 'select id from item where kind = "x"',
}
FROM_POSTGRESQL = {
    "a pattern": "select id from item where name like 'ab%' or name not like 'A%'",
    "a pattern without case": "select id from item where name ilike 'AB%'",
    "a cast": "select id, n::text as n, kind::varchar as kind from item where n = '5'::integer or amount = 3::numeric",
    "an order of texts": "select id from item where kind collate \"C\" < 'y'",
    "trimmed": "select id, trim(both from name) as t, substring(name from 1 for 2) as s from item",
    "truth": "select id from item where active is not true",
}
REFUSED = {
    "sqlite": {
        "select id, n & 3 as bits from item": "column 'bits' holds \"n\" & 3",
        "select id, date(born, '+1 day') as next from item": "column 'next' holds DATE(\"born\", '+1 day')",
        "select id from item where name collate nocase = 'abc'": 'its filter holds "name" COLLATE nocase',
        "select id, cast(amount as text) as a from item": "column 'a' holds CAST(\"amount\" AS TEXT)",
    },
    "postgresql": {
        "select id from item where name < 'b'": "its filter holds \"name\" < 'b'",
        "select id from item where name ~ '^a'": "its filter holds \"name\" ~ '^a'",
        "select id, n::numeric(5, 1) as n from item": "column 'n' holds CAST(\"n\" AS DECIMAL(5, 1))",
        "select id, amount::integer as a from item": "column 'a' holds CAST(\"amount\" AS INT)",
        "select id, extract(year from born) as y from item": "column 'y' holds EXTRACT(YEAR FROM \"born\")",
    },
}


def filled(make_side: Make, kind: str, name: str) -> Side:
    side = make_side(kind, name)
    side.script(SCHEMA)
    side.many("insert into item values (?, ?, ?, ?, ?, ?, ?)", ROWS)
    return side


def counterpart(source: Side, target: Side, renames: Renames = NONE) -> Counterpart:
    """View ``v`` of the source, over the target's table."""
    with databases.connect(source.url, source.folder) as here, here.begin(Mode.READ) as session:
        view = here.describe(session, ["v"])["v"].view
    assert view is not None
    assert view.refusal == ""
    base = renames.table("item")
    with databases.connect(target.url, target.folder) as there, there.begin(Mode.READ) as session:
        table = there.describe(session, [base])[base]
    return Counterpart(Defined(name="v", kind=source.kind, view=view), renames, table, target.kind)


def differences(found: Counterpart, target: Side) -> list[str]:
    with databases.connect(target.url, target.folder) as there, there.begin(Mode.READ) as session:
        return list(found.differences(there.describe(session, [found.name])[found.name]))


def spelt(side: Side, what: str) -> list[tuple[str, ...]]:
    """The view's rows, values written alike by both kinds."""
    names = {True: "1", False: "0"}

    def written(value: object) -> str:
        if isinstance(value, bool):
            return names[value]
        return str(value) if value is None or isinstance(value, str) else f"{float(str(value)):g}"

    return sorted(tuple(map(written, row)) for row in side.rows(f"select * from v -- {what}"))


@pytest.mark.parametrize(("kind", "to"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_a_view_that_is_made_elsewhere_shows_the_same_and_is_known_to_be_the_same(
    make_side: Make, kind: str, to: str
) -> None:
    source, target = filled(make_side, kind, "source"), filled(make_side, to, "target")
    cases = CARRIED | (FROM_SQLITE if kind == "sqlite" else FROM_POSTGRESQL)
    for what, query in cases.items():
        source.run(f"create view v as {query}")
        found = counterpart(source, target)
        target.script(found.script())
        assert spelt(target, what) == spelt(source, what), what
        assert len(spelt(source, what)) > 0, what
        assert differences(found, target) == [], what
        source.run("drop view v")
        target.run("drop view v")


@pytest.mark.parametrize(("kind", "to"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_what_would_mean_something_else_is_refused_by_name(make_side: Make, kind: str, to: str) -> None:
    source, target = filled(make_side, kind, "source"), filled(make_side, to, "target")
    name = "PostgreSQL" if to == "postgresql" else "SQLite"
    for query, what in REFUSED[kind].items():
        source.run(f"create view v as {query}")
        with pytest.raises(SchemaMismatch) as refused:
            counterpart(source, target).script()
        said = f"view 'v' cannot be made: {what}, which is not known to mean the same in {name}"
        assert str(refused.value) == said
        source.run("drop view v")


@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_view_is_made_in_the_names_that_its_destination_has(make_side: Make, to: str) -> None:
    source, target = filled(make_side, "sqlite", "source"), make_side(to, "target")
    target.script("create table thing (id integer primary key, title text, sort text, n integer)")
    target.run("insert into thing values (1, 'a', 'x', 3), (2, 'b', 'y', 4)")
    source.run("create view v as select id, name, upper(kind) as big from item where kind = 'x'")
    columns = {"name": "title", "kind": "sort"}
    renames = Renames({"item": Rename(target="thing", columns=columns), "v": Rename(columns={"name": "called"})})
    found = counterpart(source, target, renames)
    target.script(found.script())
    assert target.rows("select id, called, big from v") == [(1, "a", "X")]
    assert differences(found, target) == []


OTHERS = {
    "select id, name from item where n > 3 and kind = 'y'": ["its filter is"],
    "select id, name, kind from item where n > 3 and kind = 'x'": ["it has column 'kind' besides"],
    "select id from item where kind = 'x' and n > 3": ["it has no column 'name'"],
    "select id, kind as name from item where n > 3 and kind = 'x'": [
        'its column \'name\' is "kind", and would be "name"'
    ],
    "select id, name from other where n > 3 and kind = 'x'": ["it shows table 'other', and not 'item'"],
    "select distinct id, name from item where n > 3 and kind = 'x'": [
        "view 'v' is no proxy of one table: it has distinct"
    ],
    "select id, name from item where kind = 'x' and (3 < n)": ["its filter is"],
    "select id, name from item where n > 3 and ((kind = 'x'))": [],
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("to", ["sqlite", "postgresql"])
def test_a_view_that_shows_something_else_is_told_from_one_that_is_written_otherwise(
    make_side: Make, kind: str, to: str
) -> None:
    source, target = filled(make_side, kind, "source"), filled(make_side, to, "target")
    target.script(SCHEMA.replace("item", "other"))
    source.run("create view v as select id, name from item where n > 3 and kind = 'x'")
    found = counterpart(source, target)
    for query, expected in OTHERS.items():
        target.run(f"create view v as {query}")
        said = differences(found, target)
        assert len(said) == len(expected), query
        assert all(one.startswith(start) for one, start in zip(said, expected, strict=True)), query
        target.run("drop view v")
