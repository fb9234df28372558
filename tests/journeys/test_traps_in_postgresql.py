"""Traps of capture in PostgreSQL: order and time; and one table in four forms, which the other traps are set for."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync.config import Config
from tests import servers
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Row, Shape, Side, by_natural_key, compare, install, replicate, write_config

TABLES = ("plain", "plain_row", "split", "split_row")
"""Captured per statement and per row, whole and in partitions."""

PLAIN = "create table {t} (id {pk}, code text not null unique, n integer, note text);"
SPLIT = """
create table {t} (code text not null primary key, n integer, note text) partition by range (code);
create table {t}_low partition of {t} for values from (minvalue) to ('m');
create table {t}_high (note text, n integer, code text not null primary key);
alter table {t} attach partition {t}_high for values from ('m') to (maxvalue);
"""
FLAT = "create table {t} (code text not null primary key, n integer, note text);"
ROWS = "insert into {t} (code, n, note) values ('a', 1, 'x'), ('b', 2, 'x'), ('c', 3, 'x'), ('y', 4, 'x')"


def each(text: str, tables: Iterable[str] = TABLES) -> list[str]:
    return [text.replace("{t}", table) for table in tables]


def four_forms(start: Start, pair: Pair) -> Journey:
    """A table in its four forms, with four rows each that have arrived."""
    here = "".join(each(PLAIN, TABLES[:2]) + each(SPLIT, TABLES[2:]))
    there = "".join(each(PLAIN, TABLES[:2]) + each(FLAT, TABLES[2:]))
    for side, schema in zip(pair, (here, there), strict=True):
        side.script(schema)
    entries = {t: {"key": ["code"], "capture": "row" if t.endswith("row") else "statement"} for t in TABLES}
    journey = start("select 1", entries, *(Shape(t, ("code",), ("n", "note")) for t in TABLES))
    journey.arrive(*each(ROWS))
    return journey


def arrive(forms: Journey, *statements: str) -> None:
    """Run the statements on every form, each form in a transaction of its own; they must change something."""
    before = [by_natural_key(forms.source, shape) for shape in forms.shapes]
    for table in TABLES:
        forms.write(*(statement.replace("{t}", table) for statement in statements))
    assert all(was != by_natural_key(forms.source, s) for was, s in zip(before, forms.shapes, strict=True))
    forms.arrive()


def changes(side: Side, table: str, columns: str = "cdc_sync_op, code") -> list[Row]:
    """What stands in a table's change table, in the order in which it was logged."""
    ((name,),) = side.rows("select change_table from cdc_sync.captured where table_name = ?", (table,))
    return side.rows(f'select {columns} from cdc_sync."{name}" order by cdc_sync_seq')


@contextmanager
def owned(side: Side) -> Iterator[Side]:
    """The database as a role sees it that owns the tables and is no superuser: it may make no event trigger."""
    name = sa.make_url(side.url).database
    role = f"{name}_owner"
    side.script(
        f"create role {role} login; grant create on database {name} to {role}; alter schema public owner to {role}"
    )
    url = sa.make_url(side.url).set(username=role).render_as_string(False)
    owner = Side("postgresql", url, side.folder)
    try:
        yield owner
    finally:
        owner.close()
        side.script(f"drop owned by {role} cascade; drop role {role}; create schema public")


# --- order and time

SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"
SHAPE = Shape("subject", ("code",), ("note",))


@pytest.fixture
def node(make_side: Make, tmp_path: Path) -> tuple[Config, Side, Side]:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "clinic", source, target, {"subject": ["code"]})
    install(config)
    return config, source, target


Node = tuple[Config, Side, Side]


@pytest.fixture
def other(node: Node) -> Iterator[psycopg.Connection[Row]]:
    """Another connection of the application, in a transaction that stays open until it is committed."""
    with closing(node[1].connect()) as connection:
        connection.autocommit = False
        yield connection


def test_a_lower_number_that_commits_after_a_higher_one_was_sealed_is_not_lost(
    node: Node, other: psycopg.Connection[Row]
) -> None:
    """Reading from the last number on, as most outbox articles do, loses 2.4 % of the rows under six writers."""
    config, source, target = node
    other.execute("insert into subject (code) values ('low')")
    source.run("insert into subject (code) values ('high')")
    replicate(config)
    assert target.rows("select code from subject") == [("high",)]
    other.commit()
    replicate(config)
    compare(source, target, SHAPE)
    assert len(by_natural_key(target, SHAPE)) == 2


def test_numbers_are_handed_out_one_by_one(node: Node, other: psycopg.Connection[Row]) -> None:
    """With a larger cache per session, the session that wrote a row last can have the lower number."""
    config, source, target = node
    other.autocommit = True
    for i in range(6):
        writer = source.connection if i % 2 else other
        writer.execute("insert into subject (code) values ('s') on conflict (code) do update set note = %s", (str(i),))
    assert [note for _, note in changes(source, "subject", "cdc_sync_op, note")] == [None, "1", "2", "3", "4", "5"]
    replicate(config)
    compare(source, target, SHAPE)


@pytest.fixture
def elsewhere(server: sa.URL) -> Iterator[psycopg.Connection[Row]]:
    """A connection to another database of the same server."""
    with servers.database(server) as url, closing(psycopg.connect(url.render_as_string(False))) as connection:
        yield connection


def test_an_open_transaction_in_any_database_of_the_server_freezes_nothing(
    node: Node, other: psycopg.Connection[Row], elsewhere: psycopg.Connection[Row]
) -> None:
    """A horizon of transaction ids, as PgQ and others have it, stands still for as long as one transaction is open."""
    config, source, target = node
    elsewhere.execute("create table t (i integer)")
    other.execute("insert into subject (code) values ('open')")
    for code in ("s1", "s2"):
        source.run("insert into subject (code) values (?)", (code,))
        replicate(config)
        assert (code,) in by_natural_key(target, SHAPE)
    elsewhere.rollback()
    other.rollback()
    replicate(config)
    compare(source, target, SHAPE)


def test_a_reader_with_an_old_snapshot_keeps_nothing_from_being_sealed(
    node: Node, other: psycopg.Connection[Row]
) -> None:
    config, source, target = node
    other.execute("set transaction isolation level repeatable read")
    other.execute("select * from subject")
    source.run("insert into subject (code) values ('s1')")
    replicate(config)
    source.run("delete from subject")
    replicate(config)
    compare(source, target, SHAPE)
    other.execute("insert into subject (code) values ('late')")
    other.commit()
    replicate(config)
    compare(source, target, SHAPE)


def test_serializable_writers_of_different_rows_do_not_fail_because_of_us(
    node: Node, other: psycopg.Connection[Row]
) -> None:
    """Both write into one change table; neither reads it."""
    config, source, target = node
    source.run("insert into subject (code) values ('s1'), ('s2')")
    other.execute("set transaction isolation level serializable")
    other.execute("update subject set note = 'other' where code = 's1'")
    with source.transaction():
        source.run("set transaction isolation level serializable")
        source.run("update subject set note = 'here' where code = 's2'")
        replicate(config)
    other.commit()
    replicate(config)
    compare(source, target, SHAPE)


FAMILY = """
create table parent (id {pk}, code text not null unique);
create table child (id {pk}, code text not null unique,
    parent_id integer not null references parent (id) deferrable initially deferred);
"""
CHILD = Shape("child", ("code",), ("parent_id>parent.code",))


@pytest.fixture
def family(make_side: Make, tmp_path: Path, request: pytest.FixtureRequest) -> Node:
    source, target = make_side("postgresql", "source"), make_side(request.param, "target")
    source.script(FAMILY)
    target.script(FAMILY.replace("deferrable initially deferred", ""))
    config = write_config(tmp_path, "clinic", source, target, {"parent": ["code"], "child": ["code"]})
    install(config)
    return config, source, target


both_targets = pytest.mark.parametrize("family", ["sqlite", "postgresql"], indirect=True)


@both_targets
def test_a_child_that_is_logged_before_its_parent_arrives(family: Node) -> None:
    """Where the foreign key is initially deferred, the order of the log is not an order in which keys hold."""
    config, source, target = family
    with source.transaction():
        source.run("insert into child (code, parent_id) values ('c1', 7)")
        source.run("insert into parent (id, code) values (7, 'p7')")
    with source.transaction():
        source.run("delete from parent where id = 7")
        source.run("insert into parent (id, code) values (8, 'p8')")
        source.run("update child set parent_id = 8")
    replicate(config)
    compare(source, target, CHILD, Shape("parent", ("code",)))


@both_targets
def test_a_child_that_is_logged_before_its_parent_of_another_transaction_arrives(family: Node) -> None:
    config, source, target = family
    with closing(source.connect()) as other:
        other.autocommit = False
        other.execute("insert into child (code, parent_id) values ('c1', 7)")
        source.run("insert into parent (id, code) values (7, 'p7')")
        other.commit()
    assert changes(source, "child", "cdc_sync_seq") < changes(source, "parent", "cdc_sync_seq")
    replicate(config)
    compare(source, target, CHILD, Shape("parent", ("code",)))
    assert by_natural_key(target, CHILD) == {("c1",): ("p7",)}


def test_no_trigger_of_ours_notifies_anybody(node: Node) -> None:
    """A NOTIFY takes one lock of the whole server at commit: 32 clients come down to two fifths of their speed."""
    bodies = [
        body for (body,) in node[1].rows("select prosrc from pg_proc where pronamespace = 'cdc_sync'::regnamespace")
    ]
    assert len(bodies) > 5
    assert not any("notify" in body.lower() for body in bodies)


def test_what_is_applied_fires_the_targets_own_triggers_and_checks_its_foreign_keys(
    make_side: Make, tmp_path: Path
) -> None:
    """The mute is for our triggers only: session_replication_role = replica would switch these off as well."""
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(FAMILY)
    target.script("""
        create table seen (code text);
        create function see() returns trigger language plpgsql as $$ begin
            insert into seen values (new.code); return null; end $$;
        create trigger see after insert on parent for each row execute function see();
    """)
    back = write_config(tmp_path, "server", target, make_side("sqlite", "third"), {"parent": ["code"]})
    install(back)
    config = write_config(tmp_path, "clinic", source, target, {"parent": ["code"], "child": ["code"]})
    install(config)
    source.run("insert into parent (id, code) values (7, 'p7')")
    replicate(config)
    assert target.rows("select code from seen") == [("p7",)]
    assert changes(target, "parent") == []


def told(caplog: pytest.LogCaptureFixture, config: Config) -> None:
    """Replicates, and asserts that it says what nothing here can know: which rows went while nobody looked."""
    caplog.clear()
    replicate(config)
    assert "were not seen" in caplog.text
