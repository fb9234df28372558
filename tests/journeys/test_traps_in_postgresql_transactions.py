"""Traps of capture in PostgreSQL: what is rolled back in part, and installations beside transactions that are open."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from cdc_sync import capture, databases
from cdc_sync.config import Config
from cdc_sync.databases import base, sqlfiles
from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.journeys.test_traps_in_postgresql import TABLES, changes, each, four_forms
from tests.nodes import Row, Shape, Side, by_natural_key, compare, install, replicate, write_config

Connection = psycopg.Connection[Row]


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


@pytest.fixture
def forms(start: Start, pair: Pair) -> Journey:
    return four_forms(start, pair)


# --- subtransactions

PARTLY = {
    "a savepoint": [
        "insert into {t} (code) values ('kept')",
        "savepoint here",
        "update {t} set code = 'lost', n = 0 where code = 'a'",
        "delete from {t} where code = 'y'",
        "rollback to savepoint here",
        "update {t} set n = 5 where code = 'a'",
    ],
    "savepoints in savepoints": [
        "savepoint one",
        "insert into {t} (code) values ('lost')",
        "savepoint two",
        "update {t} set n = 0 where code = 'b'",
        "release savepoint two",
        "rollback to savepoint one",
        "insert into {t} (code, n) values ('lost', 1)",
        "savepoint three",
        "delete from {t} where code = 'b'",
        "release savepoint three",
    ],
    "an exception block": [
        """do $$ begin
            update {t} set n = 1 where code = 'a';
            begin
                delete from {t};
                insert into {t} (code) values ('lost'), ('lost');
            exception when unique_violation then
                update {t} set n = n + 1 where code = 'b';
            end;
            begin
                insert into {t} (code) values ('kept');
            exception when unique_violation then null;
            end;
        end $$""",
    ],
    "a truncate": [
        "savepoint here",
        "truncate {t}",
        "insert into {t} (code) values ('lost')",
        "rollback to savepoint here",
        "update {t} set note = 'kept'",
    ],
}


@pytest.mark.parametrize("story", PARTLY)
def test_what_a_subtransaction_takes_back_is_not_captured(forms: Journey, story: str) -> None:
    forms.arrive(*(text for statement in PARTLY[story] for text in each(statement)))


def test_a_transaction_that_failed_is_not_captured_and_the_next_one_is(forms: Journey) -> None:
    for table in TABLES:
        with pytest.raises(psycopg.errors.UniqueViolation), forms.source.transaction():
            forms.source.run(f"update {table} set n = 0")
            forms.source.run(f"insert into {table} (code) values ('a')")
        assert changes(forms.source, table) == []
    forms.arrive(*each("insert into {t} (code) values ('d')"))


# --- installations beside open transactions

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, code text not null unique, note text);
"""
SHAPES = (Shape("subject", ("code",), ("note",)), Shape("visit", ("code",), ("note",)))
Node = tuple[Config, Side, Side]


@pytest.fixture
def node(make_side: Make, tmp_path: Path) -> Node:
    """Not installed yet."""
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "clinic", source, target, {"subject": ["code"], "visit": ["code"]})
    source.run("insert into subject (code) values ('s1')")
    return config, source, target


@pytest.fixture
def writer(node: Node) -> Iterator[Connection]:
    """An application in a transaction that is open."""
    with closing(node[1].connect()) as connection:
        connection.autocommit = False
        yield connection


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


WAITS = """
select 1 from pg_stat_activity
where application_name = 'cdc-sync' and wait_event_type = 'Lock' and datname = current_database()
"""


def waiting(source: Side, work: Future[None]) -> None:
    """Return once the work waits for a lock."""
    while not source.rows(WAITS):
        assert not work.done(), f"it did not wait: {work.exception()}"


def test_an_installation_waits_for_open_writers_and_loses_none_of_their_rows(
    node: Node, writer: Connection, aside: ThreadPoolExecutor
) -> None:
    """CREATE TRIGGER waits for whoever is writing: these rows fire no trigger, and are not there yet for who looks."""
    config, source, target = node
    writer.execute("insert into subject (code) values ('open')")
    work = aside.submit(install, config, include_existing=True)
    waiting(source, work)
    writer.execute("insert into subject (code) values ('more')")
    writer.execute("update visit set note = 'x'")
    writer.commit()
    work.result(timeout=20)
    writer.execute("insert into subject (code) values ('later')")
    writer.commit()
    codes = [code for _, code in changes(source, "subject")]
    assert sorted(codes) == ["later", "more", "open", "s1"]
    replicate(config)
    compare(source, target, *SHAPES)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for half a minute in a test."""
    read = sqlfiles.read
    monkeypatch.setattr(sqlfiles, "read", lambda kind, name: read(kind, name).replace("'30s'", "'1s'"))


@pytest.mark.usefixtures("hasty")
def test_an_installation_beside_a_writer_that_never_ends_gives_up_and_leaves_nothing(
    node: Node, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PATIENCE", 2.0)
    config, source, target = node
    writer.execute("insert into visit (code) values ('open')")
    with pytest.raises(CdcSyncError, match="lock"):
        install(config)
    assert source.rows("select 1 from pg_namespace where nspname = 'cdc_sync'") == []
    assert source.rows("select 1 from pg_trigger where tgname like 'cdc_sync%'") == []
    writer.execute("insert into subject (code) values ('more')")
    writer.commit()
    install(config, include_existing=True)
    replicate(config)
    compare(source, target, *SHAPES)


def test_other_writers_do_not_queue_behind_an_installation_that_waits(
    node: Node, writer: Connection, aside: ThreadPoolExecutor
) -> None:
    """Whoever waits for a lock makes all later writers wait too: better to give up soon, and to try again."""
    config, source, target = node
    writer.execute("insert into subject (code) values ('open')")
    work = aside.submit(install, config, include_existing=True)
    waiting(source, work)
    try:
        source.run("set statement_timeout = '5s'")
        source.run("insert into subject (code) values ('a bystander')")
    finally:
        writer.commit()
        work.result(timeout=40)
    replicate(config)
    compare(source, target, *SHAPES)


def test_an_installation_makes_no_writer_the_victim_of_a_deadlock(
    node: Node, writer: Connection, aside: ThreadPoolExecutor
) -> None:
    """The writer takes the tables in the other order; whoever waits last is the one that PostgreSQL ends."""
    config, source, _ = node
    writer.execute("insert into visit (code) values ('first')")
    work = aside.submit(install, config)
    waiting(source, work)
    source.run("select pg_sleep(1.5)")
    try:
        writer.execute("insert into subject (code) values ('second')")
        writer.commit()
    finally:
        writer.rollback()
        work.exception(timeout=40)
    install(config)
    assert by_natural_key(source, SHAPES[0]).keys() == {("s1",), ("second",)}


@pytest.mark.usefixtures("hasty")
def test_a_writer_is_not_held_up_by_a_replicate_that_finds_a_table_changed(
    node: Node, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To follow a table, replicate needs it for a moment: beside an open writer it gives up, and tries later."""
    monkeypatch.setattr(base, "PATIENCE", 2.0)
    config, source, target = node
    install(config, include_existing=True)
    source.run("alter table subject disable trigger all")
    source.run("insert into subject (code) values ('unseen')")
    writer.execute("insert into subject (code) values ('unseen too')")
    with pytest.raises(CdcSyncError, match="lock"):
        replicate(config)
    writer.execute("insert into subject (code) values ('and this')")
    writer.commit()
    replicate(config)
    compare(source, target, *SHAPES)


def test_a_seal_waits_for_no_writer_and_no_writer_for_a_seal(node: Node, writer: Connection) -> None:
    config, source, target = node
    install(config, include_existing=True)
    writer.execute("insert into subject (code) values ('open')")
    writer.execute("lock table visit in share row exclusive mode")
    source.run("insert into subject (code) values ('s2')")
    replicate(config)
    assert by_natural_key(target, SHAPES[0]).keys() == {("s1",), ("s2",)}
    writer.commit()
    replicate(config)
    compare(source, target, *SHAPES)


def test_an_uninstallation_beside_an_open_writer_does_not_throw_its_changes_away(
    node: Node, writer: Connection, aside: ThreadPoolExecutor
) -> None:
    """It counts what waits before it has the tables for itself: changes may be committed in between."""
    config, source, target = node
    install(config, include_existing=True)
    replicate(config)
    writer.execute("insert into subject (code) values ('open')")

    def uninstall() -> None:
        with databases.connect(config.node.database, config.folder) as database:
            capture.uninstall(database, "clinic", discard=False)

    work = aside.submit(uninstall)
    waiting(source, work)
    writer.execute("insert into subject (code) values ('more')")
    writer.commit()
    with pytest.raises(CdcSyncError, match="2 changes not applied"):
        work.result(timeout=20)
    replicate(config)
    compare(source, target, *SHAPES)
