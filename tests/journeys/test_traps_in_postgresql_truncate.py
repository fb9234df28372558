"""Traps of capture in PostgreSQL: TRUNCATE fires no trigger for rows, reaches other tables, and has no snapshot."""

from contextlib import closing
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.journeys.test_traps_in_postgresql import TABLES, changes, each, four_forms, told
from tests.nodes import Shape, Side, by_natural_key, compare, install, replicate, write_config


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


@pytest.fixture
def forms(start: Start, pair: Pair) -> Journey:
    """The server has a row of its own in each table, which no truncation elsewhere may reach."""
    forms = four_forms(start, pair)
    for table, shape in zip(TABLES, forms.shapes, strict=True):
        pair[1].run(f"insert into {table} (code) values ('own')")
        forms.others[shape.table] = {("own",): (None, None)}
    return forms


WAYS = {
    "by itself": ["truncate {t}"],
    "restart identity": ["truncate {t} restart identity"],
    "after other changes": [
        "insert into {t} (code) values ('d'), ('z')",
        "update {t} set code = 'e' where code = 'a'",
        "truncate {t}",
    ],
    "before other changes": [
        "truncate {t} restart identity",
        "insert into {t} (code, n) values ('a', 100), ('z', 101)",
        "update {t} set n = 7",
    ],
    "twice": ["truncate {t}", "insert into {t} (code) values ('a')", "truncate {t}"],
    "a delete first": ["delete from {t} where code = 'a'", "truncate {t}", "insert into {t} (code) values ('b')"],
}


@pytest.mark.parametrize("way", WAYS)
def test_truncate_is_captured_as_the_deletion_of_every_row(forms: Journey, way: str) -> None:
    forms.arrive(*(text for statement in WAYS[way] for text in each(statement)))
    assert all(("c",) not in by_natural_key(forms.target, shape) for shape in forms.shapes)


def test_truncate_of_several_tables_is_captured_in_each(forms: Journey) -> None:
    forms.arrive(f"truncate {', '.join(TABLES)}")
    assert [len(by_natural_key(forms.source, shape)) for shape in forms.shapes] == [0] * 4


@pytest.mark.parametrize("leaf", ["low", "high"])
def test_truncate_of_a_leaf_is_captured(forms: Journey, leaf: str) -> None:
    """The root's trigger does not fire, and the row that fires the leaf's stands under the leaf's own column order."""
    forms.arrive(f"truncate split_{leaf}, split_row_{leaf}")
    forms.arrive(f"truncate split, split_row_{leaf}", "insert into split (code) values ('a'), ('z')")


@pytest.mark.parametrize("ending", ["rollback", "rollback to savepoint before"])
def test_a_truncate_that_is_rolled_back_is_not_captured(forms: Journey, ending: str) -> None:
    with closing(forms.source.connect()) as writer:
        writer.execute("begin; savepoint before")
        writer.execute(f"truncate {', '.join(TABLES)}")
        writer.execute(ending)
        writer.execute("commit" if "savepoint" in ending else "select 1")
    assert [changes(forms.source, table) for table in TABLES] == [[]] * 4


def test_a_truncate_under_another_replication_is_captured(forms: Journey) -> None:
    forms.arrive("set local session_replication_role = replica", *each("truncate {t}"))


def test_that_a_truncate_removed_rows_which_its_own_snapshot_does_not_see_is_told(
    forms: Journey, caplog: pytest.LogCaptureFixture
) -> None:
    """TRUNCATE is not subject to snapshots: in REPEATABLE READ a trigger that reads the table sees less than goes."""
    with closing(forms.source.connect()) as writer:
        writer.execute("begin isolation level repeatable read")
        writer.execute("select 1 from plain")
        for table in TABLES:
            forms.source.run(f"insert into {table} (code) values ('unseen')")
        replicate(forms.config)
        writer.execute(f"truncate {', '.join(TABLES)}; commit")
    told(caplog, forms.config)
    assert caplog.text.count("were not seen") == len(TABLES)


# --- cascades and children

FAMILY = """
create table parent (id {pk}, code text not null unique);
create table child (id {pk}, code text not null unique, parent_id integer references parent (id));
create table toy (id {pk}, code text not null unique, child_id integer references child (id));
"""
SHAPES = (
    Shape("parent", ("code",)),
    Shape("child", ("code",), ("parent_id>parent.code",)),
    Shape("toy", ("code",), ("child_id>child.code",)),
)
FAMILY_ROWS = (
    "insert into parent (code) values ('p1'), ('p2')",
    "insert into child (code, parent_id) values ('c1', 1), ('c2', 2)",
    "insert into toy (code, child_id) values ('t1', 1), ('t2', 2)",
)
OWN = """
insert into parent (id, code) values (51, 'own');
insert into child (id, code, parent_id) values (52, 'own', 51);
insert into toy (id, code, child_id) values (53, 'own', 52);
"""


@pytest.mark.parametrize("capture", ["statement", "row"])
@pytest.mark.parametrize("again", [(), FAMILY_ROWS], ids=["empty", "filled again"])
@pytest.mark.parametrize("table", ["parent", "child", "parent, toy"])
def test_truncate_cascade_is_captured_in_every_table_that_it_reaches(
    start: Start, capture: str, again: tuple[str, ...], table: str
) -> None:
    entries = {shape.table: {"key": ["code"], "capture": capture} for shape in SHAPES}
    journey = start(FAMILY, entries, *SHAPES, server=OWN)
    journey.arrive(*FAMILY_ROWS)
    again = tuple(text for text in again if table != "child" or "into parent" not in text)
    journey.arrive(f"truncate {table} restart identity cascade", *again)


INHERITED = """
create table visit (code text not null primary key, note text);
create table visit_old (extra integer, primary key (code)) inherits (visit);
create table visit_older (primary key (code)) inherits (visit_old);
"""
VISIT = Shape("visit", ("code",), ("note",))


@pytest.fixture(params=["statement", "row"])
def inherited(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> tuple[Config, Side, Side]:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    source.script(INHERITED)
    target.script("create table visit (code text not null primary key, note text)")
    config = write_config(tmp_path, "clinic", source, target, {"visit": {"key": ["code"], "capture": request.param}})
    install(config)
    source.script("insert into visit (code) values ('root'); insert into visit_old (code) values ('old1'), ('old2');")
    source.run("insert into visit_older (code) values ('older')")
    replicate(config)
    compare(source, target, VISIT)
    return config, source, target


TRUNCATES = {
    "truncate visit": set(),
    "truncate only visit": {"old1", "old2", "older"},
    "truncate visit_old": {"root"},
    "truncate only visit_old": {"root", "older"},
    "truncate visit_older": {"root", "old1", "old2"},
    "truncate only visit, visit_older": {"old1", "old2"},
}


@pytest.mark.parametrize("statement", TRUNCATES)
def test_truncate_of_a_table_with_children_is_captured_as_far_as_it_goes(
    inherited: tuple[Config, Side, Side], statement: str
) -> None:
    config, source, target = inherited
    source.run(statement)
    replicate(config)
    compare(source, target, VISIT)
    assert {code for (code,) in by_natural_key(target, VISIT)} == TRUNCATES[statement]
