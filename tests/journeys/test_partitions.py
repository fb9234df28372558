"""PostgreSQL's partitions and inheritance children: whatever table a statement names, the change is captured once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.nodes import Shape, Side, by_natural_key, install, replicate, status, write_config

PARTITIONED = """
create table visit (code text not null, year integer not null, note text, primary key (code, year))
    partition by range (year);
create table visit_old partition of visit for values from (2000) to (2020);
create table visit_new (note text, year integer not null, code text not null, primary key (code, year))
    partition by list (code);
create table visit_new_a partition of visit_new for values in ('a', 'b', 'c', 'd');
create table visit_new_rest partition of visit_new default;
alter table visit attach partition visit_new for values from (2020) to (2040);
"""
INHERITED = """
create table visit (code text not null, year integer not null, note text, primary key (code, year));
create table visit_old (extra text, primary key (code, year)) inherits (visit);
create table visit_new (primary key (code, year)) inherits (visit);
create table visit_new_a (primary key (code, year)) inherits (visit_new);
"""
PLAIN = "create table visit (code text not null, year integer not null, note text, primary key (code, year))"
SHAPE = Shape("visit", ("code", "year"), ("note",))
Journey = tuple[Side, Side, Config]


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, make_side: Callable[..., Side]) -> Side:
    side = make_side(request.param, "target")
    side.script(PLAIN)
    return side


@pytest.fixture(params=[PARTITIONED, INHERITED], ids=["partitioned", "inherited"])
def journey(request: pytest.FixtureRequest, target: Side, make_side: Callable[..., Side], tmp_path: Path) -> Journey:
    source = make_side("postgresql", "source")
    source.script(request.param)
    config = write_config(tmp_path, "clinic", source, target, {"visit": ["code", "year"]})
    install(config)
    source.run("insert into visit_old (code, year, note) values ('a', 2001, 'x'), ('b', 2001, 'x')")
    source.run("insert into visit_new_a (code, year, note) values ('a', 2021, 'x'), ('b', 2021, 'x')")
    source.run("insert into visit (code, year, note) values ('c', 2002, 'x')")
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
    assert len(by_natural_key(target, SHAPE)) == 5
    return source, target, config


STATEMENTS = {
    "an insert into the root": "insert into visit (code, year, note) values ('d', 2003, 'y')",
    "an insert into a leaf": "insert into visit_new_a (code, year, note) values ('d', 2022, 'y')",
    "an insert into a branch": "insert into visit_new (code, year, note) values ('d', 2022, 'y')",
    "an update of the root": "update visit set note = 'z'",
    "an update of a leaf": "update visit_old set note = 'z'",
    "a key change through the root": "update visit set code = 'd' where code = 'a'",
    "a key change in a leaf": "update visit_old set code = 'd' where code = 'a'",
    "a delete through the root": "delete from visit where code = 'a'",
    "a delete in a leaf": "delete from visit_old where code = 'a'",
    "a truncate of the root": "truncate visit",
    "a truncate of a leaf": "truncate visit_old",
    "a truncate of a branch": "truncate visit_new",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_statement_is_captured_once_whatever_table_it_names(journey: Journey, statement: str) -> None:
    source, target, config = journey
    before = by_natural_key(source, SHAPE)
    source.run(statement)
    assert by_natural_key(source, SHAPE) != before
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)


def test_a_statement_is_captured_with_one_change_a_row(journey: Journey) -> None:
    source, _, config = journey
    source.run("update visit set note = 'z'")
    assert sum(table.unsealed for table in status(config).tables) == 5


@pytest.fixture
def partitioned(target: Side, make_side: Callable[..., Side], tmp_path: Path) -> Journey:
    source = make_side("postgresql", "source")
    source.script(PARTITIONED)
    config = write_config(tmp_path, "clinic", source, target, {"visit": ["code", "year"]})
    install(config)
    source.run("insert into visit (code, year, note) values ('a', 2001, 'x'), ('b', 2001, 'x'), ('a', 2021, 'x')")
    replicate(config)
    return source, target, config


@pytest.mark.parametrize(
    "statement",
    [
        "update visit set year = year + 10 where year = 2001",
        "update visit set year = year + 20, code = 'z' where year = 2001 and code = 'b'",
        "update visit set year = year + 15",
    ],
)
def test_an_update_that_moves_rows_to_another_partition(partitioned: Journey, statement: str) -> None:
    source, target, config = partitioned
    source.run(statement)
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)


def followed(source: Side) -> bool:
    """Whether capture followed what was done to the tables at once, without a gap that replicate has to close."""
    return not source.rows("select * from cdc_sync.gap")


def test_a_new_partition_is_captured_from_its_first_row(partitioned: Journey) -> None:
    source, target, config = partitioned
    source.run("create table visit_late partition of visit for values from (2040) to (2060)")
    source.run("insert into visit (code, year) values ('late', 2041)")
    source.run("insert into visit_late (code, year) values ('later', 2042)")
    assert followed(source)
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)


def test_an_attached_partition_brings_its_rows(partitioned: Journey) -> None:
    source, target, config = partitioned
    source.run("create table visit_late (note text, code text not null, year integer not null)")
    source.run("insert into visit_late (code, year) values ('late', 2041), ('late', 2042)")
    source.run("alter table visit attach partition visit_late for values from (2040) to (2060)")
    source.run("update visit_late set note = 'n' where year = 2042")
    assert followed(source)
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)


def test_a_detached_partition_takes_its_rows_with_it(partitioned: Journey) -> None:
    source, target, config = partitioned
    source.run("alter table visit detach partition visit_old")
    source.run("insert into visit_old (code, year) values ('not ours any more', 2003)")
    assert followed(source)
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
    assert {year for _, year in by_natural_key(target, SHAPE)} == {2021}


def test_children_that_come_and_go_are_followed(make_side: Callable[..., Side], target: Side, tmp_path: Path) -> None:
    source = make_side("postgresql", "source")
    source.script(PLAIN)
    config = write_config(tmp_path, "clinic", source, target, {"visit": ["code", "year"]})
    install(config)
    source.run("insert into visit (code, year) values ('a', 2001)")
    source.run("create table visit_child (primary key (code, year)) inherits (visit)")
    source.run("insert into visit_child (code, year) values ('b', 2001), ('c', 2001)")
    replicate(config)
    source.run("delete from visit_child where code = 'b'")
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
    source.run("alter table visit_child no inherit visit")
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE) == {("a", 2001): (None,)}


def test_a_column_dropped_from_all_partitions_breaks_no_write(partitioned: Journey) -> None:
    source, target, config = partitioned
    source.run("alter table visit drop column note")
    source.run("insert into visit_old (code, year) values ('d', 2003)")
    source.run("update visit set year = 2023 where year = 2003")
    assert followed(source)
    replicate(config)
    shape = Shape("visit", ("code", "year"))
    assert by_natural_key(target, shape) == by_natural_key(source, shape)
