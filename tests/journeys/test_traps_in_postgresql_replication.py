"""Traps of capture in PostgreSQL: prepared transactions, and rows that native logical replication applies."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from cdc_sync.errors import ConfigError
from tests import servers
from tests.commands.conftest import run
from tests.journeys.conftest import Journey
from tests.journeys.test_traps_in_postgresql import FLAT, PLAIN, ROWS, SPLIT, TABLES, changes, each
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SHAPES = tuple(Shape(table, ("code",), ("n", "note")) for table in TABLES)
SCHEMA = "".join(each(PLAIN, TABLES[:2]) + each(SPLIT, TABLES[2:]))
SETTINGS = {
    "fsync": "off",
    "wal_level": "logical",
    "max_prepared_transactions": "5",
    "wal_retrieve_retry_interval": "100",
}
PATIENCE = 15.0


@pytest.fixture(scope="module")
def able_server() -> Iterator[sa.URL]:
    """A server that may prepare transactions and replicate logically."""
    if servers.VARIABLE in os.environ:
        pytest.skip("needs max_prepared_transactions and wal_level = logical, so a server of its own")
    with servers.postgresql(**SETTINGS) as url:
        yield url


Make = Callable[[str], Side]


@pytest.fixture
def make(able_server: sa.URL, tmp_path: Path) -> Iterator[Make]:
    """``make(schema)``: a database of that server."""
    with ExitStack() as stack:

        def made(schema: str) -> Side:
            url = stack.enter_context(servers.database(able_server)).render_as_string(False)
            side = stack.enter_context(closing(Side("postgresql", url, tmp_path)))
            side.script(schema)
            return side

        yield made


@pytest.fixture
def forms(make: Make, tmp_path: Path) -> Iterator[Journey]:
    source = make(SCHEMA)
    with closing(Side("sqlite", f"sqlite:///{tmp_path}/target.db", tmp_path)) as target:
        target.script("".join(each(PLAIN, TABLES[:2]) + each(FLAT, TABLES[2:])))
        entries = {t: {"key": ["code"], "capture": "row" if t.endswith("row") else "statement"} for t in TABLES}
        config = write_config(tmp_path, "clinic", source, target, entries)
        install(config)
        yield Journey((source, target), config, SHAPES)


# --- transactions that are prepared

WORK = (
    "insert into {t} (code, n) values ('d', 1), ('z', 2)",
    "update {t} set n = n + 1 where code in ('d', 'y')",
    "update {t} set code = 'q' where code = 'a'",
    "delete from {t} where code = 'c'",
)


@contextmanager
def prepared(forms: Journey, *statements: str) -> Iterator[str]:
    """A prepared transaction of these statements, rolled back at the end if it is still there."""
    name = f"of {sa.make_url(forms.source.url).database}"
    with closing(forms.source.connect()) as session:
        session.execute("begin")
        for statement in statements:
            session.execute(statement)
        session.execute(f"prepare transaction '{name}'")
    try:
        yield name
    finally:
        if forms.source.rows("select 1 from pg_prepared_xacts where gid = ?", (name,)):
            forms.source.run(f"rollback prepared '{name}'")


def work() -> list[str]:
    return [text for statement in WORK for text in each(statement)]


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_a_prepared_transaction_travels_when_it_is_committed_and_not_before(forms: Journey, ending: str) -> None:
    """Nothing of ours keeps it from being prepared, as a temporary object would, and it holds nobody up meanwhile."""
    forms.arrive(*each(ROWS))
    with prepared(forms, *work()) as name:
        forms.arrive(*each("update {t} set n = 99 where code = 'b'"))
        forms.arrive(*each("insert into {t} (code) values ('e')"))
        assert ("q",) not in by_natural_key(forms.target, SHAPES[0])
        forms.source.run(f"{ending} prepared '{name}'")
    forms.arrive()
    assert all((("q",) in by_natural_key(forms.target, shape)) == (ending == "commit") for shape in SHAPES)


def test_a_truncate_in_a_prepared_transaction_is_captured(forms: Journey) -> None:
    """Whoever writes to the table waits meanwhile; a seal would wait too, so there is none before the end."""
    forms.arrive(*each(ROWS))
    with prepared(forms, *each("truncate {t}"), *each("insert into {t} (code) values ('a')")) as name:
        forms.source.run(f"commit prepared '{name}'")
    forms.arrive()


def test_a_row_that_a_prepared_transaction_wrote_first_and_commits_last(forms: Journey) -> None:
    """Its numbers are lower than those of a batch that has long been applied."""
    forms.arrive(*each(ROWS))
    with prepared(
        forms, *each("insert into {t} (code, n) values ('p', 1)"), *each("delete from {t} where code = 'y'")
    ) as name:
        forms.arrive(*each("update {t} set code = 'r' where code = 'b'"))
        forms.source.run(f"commit prepared '{name}'")
    forms.arrive(*each("update {t} set n = n + 1 where code = 'p'"))


# --- rows that native logical replication applies


def eventually(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@contextmanager
def subscribed(publisher: Side, subscriber: Side, what: str = "all tables") -> Iterator[None]:
    """The subscriber follows the publisher. The slot is made first: within one server the two would wait for ever."""
    url = sa.make_url(publisher.url)
    name = str(url.database)
    publisher.run(f"create publication everything for {what}")
    publisher.run("select pg_create_logical_replication_slot(?, 'pgoutput')", (name,))
    subscriber.run(
        f"create subscription {name} connection 'dbname={name} host={url.query['host']} user={url.username}' "
        f"publication everything with (create_slot = false, slot_name = '{name}')"
    )
    try:
        copying = "select 1 from pg_subscription_rel where srsubstate <> 'r'"
        eventually(lambda: not subscriber.rows(copying), "the first copy does not end")
        yield
    finally:
        subscriber.run(f"alter subscription {name} disable")
        subscriber.run(f"alter subscription {name} set (slot_name = none)")
        subscriber.run(f"drop subscription {name}")
        held = "select 1 from pg_replication_slots where slot_name = ? and active"
        eventually(lambda: not publisher.rows(held, (name,)), "the slot is held")
        publisher.run("select pg_drop_replication_slot(?)", (name,))


def followed(publisher: Side, subscriber: Side, shapes: tuple[Shape, ...]) -> None:
    def same() -> bool:
        return all(by_natural_key(subscriber, shape) == by_natural_key(publisher, shape) for shape in shapes)

    eventually(same, "the subscriber does not follow")


ROW_TABLES = ("plain_row", "split_row")
ROW_SHAPES = (SHAPES[1], SHAPES[3])
NATIVE = (
    ("insert into {t} (code, n) values ('d', 1), ('z', 2)", "update {t} set n = n + 1 where code <> 'a'"),
    (
        "update {t} set code = 'q' where code = 'a'",
        "update {t} set code = 'e' where code = 'b'",
        "delete from {t} where code = 'c'",
    ),
    ("truncate {t}", "insert into {t} (code, n) values ('a', 5), ('y', 6)"),
)


def test_rows_that_native_logical_replication_applies_are_captured_row_by_row(make: Make, forms: Journey) -> None:
    """Its worker fires row triggers only, and of these only those that are enabled always; its first copy fires all."""
    publisher = make(SCHEMA)
    for table in ROW_TABLES:
        publisher.run(ROWS.replace("{t}", table))
    with subscribed(publisher, forms.source):
        followed(publisher, forms.source, ROW_SHAPES)
        forms.arrive()
        assert len(by_natural_key(forms.target, SHAPES[3])) == 4
        for statements in NATIVE:
            for statement in statements:
                for text in each(statement, ROW_TABLES):
                    publisher.run(text)
            followed(publisher, forms.source, ROW_SHAPES)
            forms.arrive()
        forms.arrive(*each("insert into {t} (code) values ('own'), ('zz')", ROW_TABLES))


def test_the_first_copy_of_native_logical_replication_is_captured_per_statement_too(make: Make, forms: Journey) -> None:
    publisher = make(SCHEMA)
    for text in each(ROWS):
        publisher.run(text)
    with subscribed(publisher, forms.source):
        followed(publisher, forms.source, SHAPES)
    forms.arrive()
    assert [len(by_natural_key(forms.target, shape)) for shape in SHAPES] == [4] * 4


def test_a_subscribed_table_that_is_captured_per_statement_is_not_missed_in_silence(make: Make, forms: Journey) -> None:
    """No statement trigger fires for what the worker applies: somebody must be told to write capture = "row"."""
    publisher = make(SCHEMA)
    with subscribed(publisher, forms.source):
        publisher.run("insert into plain (code, n) values ('d', 1)")
        followed(publisher, forms.source, SHAPES[:1])
        replicate(forms.config)
        result = run("doctor", forms.config)
    arrived = by_natural_key(forms.target, SHAPES[0]) == by_natural_key(forms.source, SHAPES[0])
    assert arrived or (result.exit_code == 3 and 'capture = "row"' in result.stdout), result.stdout


def test_a_node_that_publishes_its_tables_captures_as_ever(make: Make, forms: Journey) -> None:
    subscriber = make(SCHEMA)
    forms.source.run("insert into plain_row (code) values ('d')")
    with subscribed(forms.source, subscriber, "table plain_row"):
        forms.source.run("update plain_row set code = 'e'")
        followed(forms.source, subscriber, (SHAPES[1],))
        assert changes(forms.source, "plain_row") == [("I", "d"), ("K", "e")]
        forms.arrive()


def test_installing_breaks_no_publication_of_all_tables(make: Make, tmp_path: Path) -> None:
    """Our tables are published with the rest, and a subscriber that has none of them stops following altogether."""
    publisher, subscriber = make(SCHEMA), make(SCHEMA)
    with subscribed(publisher, subscriber), closing(Side("sqlite", f"sqlite:///{tmp_path}/t.db", tmp_path)) as target:
        target.script(PLAIN.replace("{t}", "plain"))
        try:
            install(write_config(tmp_path, "clinic", publisher, target, {"plain": ["code"]}))
        except ConfigError as error:
            assert "publication" in str(error)
        publisher.run("insert into plain (code) values ('d')")
        followed(publisher, subscriber, SHAPES)
