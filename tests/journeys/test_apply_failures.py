"""A target that cannot take a batch just now gets it later, whole and once; nothing is put aside for what will pass."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cdc_sync import apply, databases, held, receive, ship
from cdc_sync import config as configuration
from cdc_sync.config import Config
from cdc_sync.core import wire
from cdc_sync.core.chain import Verdict
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.wire import Sealed
from cdc_sync.databases import Mode, sqlite
from cdc_sync.errors import CdcSyncError, ConfigError, DatabaseError, RejectedBatch
from tests.conftest import Make
from tests.journeys.conftest import Pair
from tests.journeys.killed import Run, Runner
from tests.nodes import Shape, Side, compare, install, letters, received, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code varchar(9) not null unique, age integer {check});
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null, note text,
    unique (subject_id, number));
"""
KEYS = {"subject": ["code"], "visit": ["subject_id", "number"]}
SHAPES = Shape("subject", ("code",), ("age",)), Shape("visit", ("subject_id>subject.code", "number"), ("note",))
FIRST = (
    "insert into subject (id, code, age) values (1, 'a', 1), (2, 'b', 2)",
    "insert into visit (id, subject_id, number) values (1, 1, 1), (2, 2, 1)",
)
THEN = (
    "update subject set age = 30 where id = 1",
    "update visit set note = 'seen'",
    "insert into subject (id, code, age) values (3, 'c', 3)",
    "delete from visit where id = 2",
)
BAD = "insert into subject (id, code, age) values (9, 'bad', -1)"


class Node:
    """A laptop and a server, which holds its first batch already and refuses negative ages."""

    def __init__(self, source: Side, target: Side, folder: Path) -> None:
        self.source, self.target = source, target
        source.script(SCHEMA.replace("{check}", ""))
        target.script(SCHEMA.replace("{check}", "check (age >= 0)"))
        self.config: Config = write_config(folder, "laptop", source, target, KEYS)
        install(self.config)
        self.write(*FIRST)
        replicate(self.config)

    def write(self, *statements: str) -> None:
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)

    def waits(self) -> CdcSyncError:
        """Replicate in vain: nothing of the batch is applied, and nothing is put aside. Returns the error."""
        before = [self.target.rows(f"select * from {table}") for table in KEYS]
        with pytest.raises(CdcSyncError) as raised:
            replicate(self.config)
        assert letters(self.target) == []
        assert [self.target.rows(f"select * from {table}") for table in KEYS] == before
        assert received(self.config, self.target).applied == 1
        return raised.value

    def arrives(self, aside: int = 0) -> None:
        replicate(self.config)
        assert len(letters(self.target)) == aside
        self.source.run("delete from subject where code = 'bad'")
        compare(self.source, self.target, *SHAPES)


KINDS = {"sqlite": "in parts", "postgresql": "whole"}


@pytest.fixture(params=KINDS, ids=KINDS.values())
def node(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Node:
    """The server is PostgreSQL."""
    return Node(make_side(request.param, "source"), make_side("postgresql", "target"), tmp_path)


@pytest.fixture
def bad(node: Node) -> int:
    """How many rows of the batch the server refuses: with one, it is tried in parts."""
    bad = int(KINDS[node.source.kind] == "in parts")
    node.write(*THEN, *([BAD] if bad else []))
    return bad


@contextmanager
def configured(target: Side, setting: str) -> Iterator[None]:
    name = sa.make_url(target.url).database
    target.run(f"alter database {name} set {setting}")
    yield
    target.run(f"alter database {name} reset {setting.split()[0]}")


HOLDS = {
    "a row": "update subject set age = age where code = 'a'",
    "a child": "select from visit for update",
    "the table": "lock table subject in exclusive mode",
    "a key that is to come": "insert into subject (code) values ('c')",
}


@pytest.mark.parametrize("hold", HOLDS)
def test_while_another_session_holds_what_a_batch_writes_it_waits_whole(node: Node, bad: int, hold: str) -> None:
    """symmetricds 52: lock timeout, a locked table."""
    with configured(node.target, "lock_timeout = '50ms'"), closing(node.target.connect()) as other:
        other.autocommit = False
        other.execute(HOLDS[hold])
        error = node.waits()
        assert isinstance(error, DatabaseError)
        assert (error.code, error.temporary) == ("55P03", True)
        other.rollback()
    node.arrives(bad)


def test_a_batch_that_falls_victim_to_a_deadlock_arrives_all_the_same(node: Node, bad: int) -> None:
    """symmetricds 52. The other session locks children first, and parents once the batch waits for its children."""
    with configured(node.target, "deadlock_timeout = '700ms'"), closing(node.target.connect()) as other:
        other.execute("set deadlock_timeout = '60s'; begin")
        other.execute("select from visit for update")
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(replicate, node.config)
            _await(node.target, "select 1 from pg_locks where not granted")
            other.execute("update subject set age = age where code = 'a'")
            other.execute("rollback")
            error = done.exception(60)
            assert error is None or (isinstance(error, DatabaseError) and error.temporary)
        other.execute("select pg_stat_force_next_flush()")
        _await(node.target, "select 1 from pg_stat_database where datname = current_database() and deadlocks > 0")
    node.arrives(bad)


def _await(side: Side, query: str) -> None:
    until = time.monotonic() + 20
    while not side.rows(query):
        assert time.monotonic() < until, query
        time.sleep(0.01)


CODES = {"serialization failure": "40001", "disk full": "53100", "out of memory": "53200", "input/output": "58030"}


@pytest.mark.parametrize("failure", CODES)
def test_a_failure_of_the_server_itself_is_no_fault_of_a_row(node: Node, bad: int, failure: str) -> None:
    """symmetricds 52: raised amid the writing of one row, as the server would."""
    node.target.script(
        "create function fail() returns trigger language plpgsql as $$ begin if new.code = 'c' then"
        f" raise exception 'out of order' using errcode = '{CODES[failure]}'; end if; return new; end $$;"
        "create trigger fail before insert on subject for each row execute function fail()"
    )
    error = node.waits()
    assert isinstance(error, DatabaseError)
    assert error.temporary
    node.target.run("drop trigger fail on subject")
    node.arrives(bad)


def test_a_server_that_takes_no_writes_is_told_and_gets_everything_later(node: Node, bad: int) -> None:
    """symmetricds 52: a read-only target."""
    with configured(node.target, "default_transaction_read_only = on"):
        assert isinstance(node.waits(), ConfigError)
    node.arrives(bad)


def test_a_right_that_the_role_lacks_is_no_fault_of_a_row(node: Node, bad: int) -> None:
    role = f"{sa.make_url(node.target.url).database}_modest"
    node.target.script(
        f"create role {role} login; grant all on schema public to {role}; grant all on subject to {role}"
    )
    node.target.script(
        f"grant all on schema cdc_sync to {role}; grant all on all tables in schema cdc_sync to {role};"
        f"grant all on all sequences in schema public, cdc_sync to {role}; grant select, update on visit to {role};"
        f"grant create, temporary on database {sa.make_url(node.target.url).database} to {role}"
    )
    text = node.config.path.read_text(encoding="utf-8")
    url = sa.make_url(node.target.url).set(username=role).render_as_string(hide_password=False)
    node.config.path.write_text(text.replace(node.target.url, url), encoding="utf-8")
    node.config = configuration.load(node.config.path)
    try:
        error = node.waits()
        assert isinstance(error, ConfigError)
        assert "visit" in str(error)
        node.target.run(f"grant delete on visit to {role}")
        node.arrives(bad)
    finally:
        node.target.script(f"drop owned by {role} cascade; drop role {role}")


# --- a file as server


@pytest.fixture(params=["sqlite", "postgresql"])
def lite(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Node:
    return Node(make_side(request.param, "source"), make_side("sqlite", "target"), tmp_path)


def test_while_another_program_writes_the_file_a_batch_waits_whole(lite: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """symmetricds 52."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    lite.write(*THEN)
    other = lite.target.connect()
    other.execute("begin immediate")
    error = lite.waits()
    assert isinstance(error, DatabaseError)
    assert error.temporary
    other.execute("rollback")
    other.close()
    lite.arrives()


@pytest.mark.parametrize("bad", [0, 1], ids=["whole", "in parts"])
def test_a_file_that_can_not_grow_keeps_what_it_has_and_gets_the_batch_later(lite: Node, bad: int) -> None:
    """symmetricds 52: the disk is full, for SQLite by a limit of its own. Nothing is put aside for want of room."""
    lite.write(*THEN, *([BAD] if bad else []))
    rows = [(i, f"s{i}", i) for i in range(100, 5000)]
    lite.source.many("insert into subject (id, code, age) values (?, ?, ?)", rows)
    pages = lite.target.rows("pragma page_count")[0][0]
    for more in (1, 10, 30):

        def limit(connection: Any, _record: object, most: int = pages + more) -> None:
            if isinstance(connection, sqlite3.Connection):
                connection.execute(f"pragma max_page_count = {most}")

        sa.event.listen(sa.engine.Engine, "connect", limit)
        try:
            error = lite.waits()
        finally:
            sa.event.remove(sa.engine.Engine, "connect", limit)
        assert isinstance(error, DatabaseError)
        assert (error.code, error.temporary) == ("SQLITE_FULL", True)
    lite.arrives(bad)


# --- batches that come twice, not at all, or in another order


def _batches(node: Node) -> list[tuple[Sealed, list[bytes]]]:
    """Everything that is sealed at the node and not released, as it travels."""
    with databases.connect(node.source.url) as database:
        with database.begin(Mode.READ) as session:
            name, epoch, _ = session.run("node")[0]
        before = (held.first(database, name, epoch) or 1) - 1
        return [(batch.sealed, list(batch.parts())) for batch in held.after(database, name, epoch, before)]


def test_batches_that_come_twice_or_too_early_or_damaged_are_applied_once_and_in_order(
    pair: Pair, tmp_path: Path
) -> None:
    """symmetricds 44, postgres-cdc 44: additive updates would tell if one were applied twice."""
    node = Node(*pair, tmp_path)
    for age in (10, 20, 30):
        node.write(f"update subject set age = {age}", f"update visit set note = coalesce(note, '') || '{age}'")
        with databases.connect(node.source.url) as database:
            ship.seal_waiting(database, node.config)
    two, three, four = _batches(node)[-3:]
    with databases.connect(node.target.url) as server:
        assert receive.store(server, *four) is Verdict.GAP
        assert receive.store(server, *two) is Verdict.STORE
        assert receive.store(server, *two) is Verdict.KNOWN
        damaged = bytearray(three[1][0])
        damaged[len(damaged) // 2] ^= 1
        with pytest.raises(RejectedBatch):
            receive.store(server, three[0], [bytes(damaged), *three[1][1:]])
        header = wire.decode_header(two[0].header)

        def applied() -> list[int]:
            found = iter(lambda: apply.apply_next(server, header.node, header.epoch, Policies()), None)
            return [batch.number for batch in found if batch is not None]

        assert applied() == [2]
        assert receive.store(server, *two) is Verdict.KNOWN
        assert applied() == []
        assert [receive.store(server, *batch) for batch in (three, four, three)] == [
            Verdict.STORE,
            Verdict.STORE,
            Verdict.KNOWN,
        ]
        assert applied() == [3, 4]
    assert node.target.rows("select distinct note from visit") == [("102030",)]
    node.arrives()


# --- killed, with letters and conflicts about


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.mark.parametrize(
    ("pair", "moment", "step"),
    [("sqlite-postgresql", "after", 2), ("postgresql-sqlite", "before", 1)],
    indirect=["pair"],
)
def test_killed_at_every_commit_each_letter_and_each_conflict_is_there_once(
    pair: Pair, tmp_path: Path, runner: Runner, moment: str, step: int
) -> None:
    """symmetricds 43, postgres-cdc 44. Each round: a dead row, its child, a row that meets one of the server's own."""
    node = Node(*pair, tmp_path)
    died, number, rounds = True, 1 - step, 0
    while died:
        number, rounds = number + step, rounds + 1
        assert number < 40
        node.target.run("insert into subject (code, age) values (?, 0)", (f"own{number}",))
        node.write(
            f"insert into subject (id, code, age) values ({number * 10}, 'bad{number}', -1)",
            f"insert into visit (id, subject_id, number) values ({number * 10}, {number * 10}, 1)",
            f"insert into subject (id, code, age) values ({number * 10 + 1}, 'own{number}', {number})",
            f"update subject set age = {rounds} where code = 'a'",
        )
        command = ["replicate", "--once", "--config", str(node.config.path)]
        code, output = runner.run(Run(moment, number, command))
        assert code in (3, -signal.SIGKILL), output
        died = code == -signal.SIGKILL
        replicate(node.config)
        _each_once(node, rounds)
    node.write("update subject set age = 1 where age < 0")
    node.arrives()


def _each_once(node: Node, rounds: int) -> None:
    found = sorted((letter.table, letter.state.value) for letter in letters(node.target))
    assert found == [("subject", "dead")] * rounds + [("visit", "deferred")] * rounds
    with databases.connect(node.target.url) as server, server.begin(Mode.READ) as session:
        assert [row[6] for row in session.run("conflicts")] == ["insert_exists"] * rounds
    assert node.target.rows("select age from subject where code = 'a'") == [(rounds,)]
