"""Traps of files in SQLite: journal modes, locks, overtaken transactions, copies that go on as the original."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import databases, doctor, rejoin
from cdc_sync.errors import CdcSyncError, DatabaseError, RejectedBatch
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, Side, replicate, waiting

SCHEMA = "create table subject (id {pk}, code text not null unique, phone text unique, note text);"
SHAPE = Shape("subject", ("code",), ("phone", "note"))
ROWS = "insert into subject (id, code, phone) values (1, 's1', 'p1'), (2, 's2', 'p2'), (3, 's3', 'p3')"
MODES = ["wal", "delete", "truncate", "persist", "memory"]


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side("sqlite", "target")


@pytest.fixture
def subjects(start: Start) -> Journey:
    """Three subjects, replicated."""
    journey = start(SCHEMA, {"subject": ["code"]}, SHAPE)
    journey.arrive(ROWS)
    return journey


def path(side: Side) -> Path:
    return Path(side.url.removeprefix("sqlite:///"))


def set_mode(side: Side, mode: str) -> None:
    assert side.rows(f"pragma journal_mode = {mode}") == [(mode,)]


# --- journal modes


@pytest.mark.parametrize("there", ["wal", "delete"])
@pytest.mark.parametrize("mode", MODES)
def test_every_journal_mode_is_captured_and_sealed(subjects: Journey, mode: str, there: str) -> None:
    set_mode(subjects.source, mode)
    set_mode(subjects.target, there)
    subjects.arrive(
        "insert or replace into subject (code, phone) values ('s9', 'p2')", "delete from subject where id = 1"
    )
    subjects.arrive("update subject set code = code || '!'")
    assert subjects.source.rows("pragma journal_mode") == [(mode,)]


@pytest.mark.parametrize("modes", [("delete", "wal"), ("wal", "delete")])
def test_the_journal_mode_may_change_while_changes_wait(subjects: Journey, modes: tuple[str, str]) -> None:
    set_mode(subjects.source, modes[0])
    subjects.write("update subject set note = 'waits'")
    set_mode(subjects.source, modes[1])
    subjects.arrive("delete from subject where id = 2")


def test_a_reader_that_holds_its_snapshot_for_long_keeps_nothing_from_being_sent_in_wal_mode(subjects: Journey) -> None:
    set_mode(subjects.source, "wal")
    with closing(subjects.source.connect()) as reader:
        reader.execute("begin")
        before = reader.execute("select count(*) from subject").fetchall()
        subjects.arrive("insert into subject (code) values ('s4')")
        subjects.arrive("delete from subject where id < 3")
        assert reader.execute("select count(*) from subject").fetchall() == before


LOCKS = {
    "a writer": ("wal", "begin immediate", "insert into subject (code) values ('by the other')"),
    "a writer without wal": ("delete", "begin immediate", "insert into subject (code) values ('by the other')"),
    "a reader without wal": ("delete", "begin", "select count(*) from subject"),
}


@pytest.mark.parametrize(("mode", "begin", "statement"), LOCKS.values(), ids=LOCKS.keys())
def test_a_lock_that_outlasts_our_patience_is_said_and_nothing_is_lost(
    subjects: Journey, monkeypatch: pytest.MonkeyPatch, mode: str, begin: str, statement: str
) -> None:
    monkeypatch.setattr("cdc_sync.databases.sqlite.BUSY_TIMEOUT", 0.2)
    set_mode(subjects.source, mode)
    subjects.write("update subject set note = 'waits'", "delete from subject where id = 1")
    with closing(subjects.source.connect()) as other:
        other.execute(begin)
        other.execute(statement).fetchall()
        with pytest.raises(DatabaseError, match="locked") as raised:
            replicate(subjects.config)
        assert raised.value.temporary
        other.execute("commit")
    subjects.arrive()
    assert waiting(subjects.config) == 0


# --- transactions of the application beside ours


def test_a_deferred_transaction_that_a_seal_overtakes_can_be_tried_again(subjects: Journey) -> None:
    """It read, we committed, and its first write fails at once whatever its patience: SQLITE_BUSY_SNAPSHOT."""
    set_mode(subjects.source, "wal")
    subjects.write("update subject set note = 'waits'")
    work = "insert into subject (code, note) select 'tried', count(*) from subject"
    with closing(subjects.source.connect()) as other:
        other.execute("begin")
        other.execute("select count(*) from subject").fetchall()
        subjects.arrive()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute(work)
        other.execute("rollback")
        subjects.arrive()
        other.execute("begin immediate")
        other.execute(work)
        other.execute("commit")
    subjects.arrive()
    assert subjects.target.rows("select note from subject where code = 'tried'") == [("3",)]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Every statement of every connection that is opened from now on, connection by connection."""
    seen: list[list[str]] = []
    connect = sqlite3.connect

    def traced_connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **options)
        seen.append([])
        connection.set_trace_callback(seen[-1].append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced_connect)
    yield seen


READING = (
    "begin",
    "select",
    "with",
    "pragma",
    "commit",
    "rollback",
    "create temporary",
    "drop table if exists temp.",
    "explain",
    "--",
)


def test_whatever_we_write_we_write_in_an_immediate_transaction(subjects: Journey, traced: list[list[str]]) -> None:
    """So that we wait for the application instead of failing halfway with SQLITE_BUSY_SNAPSHOT."""
    set_mode(subjects.source, "wal")
    subjects.arrive(
        "insert or replace into subject (code, phone) values ('s9', 'p2')", "delete from subject where id = 1"
    )
    subjects.arrive("update subject set code = code || '!'")
    assert any("begin immediate" in statements for statements in traced)
    for statements in traced:
        immediate = False
        for statement in map(str.lower, statements):
            if statement.startswith(("begin", "commit", "rollback")):
                immediate = statement.startswith("begin immediate")
            assert immediate or statement.lstrip().startswith(READING), statement


def keep_writing(file: Path, stop: threading.Event, failed: list[str]) -> None:
    """Short transactions without a pause, as an application makes them, with 30 seconds of patience."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as connection:
        i = 0
        while not stop.is_set():
            try:
                connection.execute("begin immediate")
                connection.execute("insert into subject (code, note) values (?, 'w')", (f"w{i}",))
                connection.execute("update subject set note = ? where id = 1", (str(i),))
                connection.execute("delete from subject where code = ?", (f"w{i - 10}",))
                connection.execute("commit")
            except sqlite3.Error as error:
                failed.append(str(error))
                return
            i += 1
            time.sleep(0.002)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_busy_application_and_the_replicator_never_fail_each_other(subjects: Journey, mode: str) -> None:
    set_mode(subjects.source, mode)
    stop, failed = threading.Event(), list[str]()
    writer = threading.Thread(target=keep_writing, args=(path(subjects.source), stop, failed))
    writer.start()
    try:
        for _ in range(8):
            replicate(subjects.config)
    finally:
        stop.set()
        writer.join()
    assert failed == []
    subjects.arrive()
    assert subjects.source.rows("select note from subject where id = 1") != [(None,)]


# --- copies


def test_a_copy_of_the_file_without_its_wal_holds_neither_the_rows_nor_their_changes(
    subjects: Journey, tmp_path: Path
) -> None:
    """A row and its change are one transaction of one file, so no copy can have one of them."""
    source = subjects.source
    set_mode(source, "wal")
    source.run("pragma wal_checkpoint(truncate)")
    source.run("insert into subject (code) values ('in the wal')")
    (change,) = source.rows("select change_table from cdc_sync_captured")[0]
    shutil.copy(path(source), tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        for table in ("subject", change):
            query = f"select count(*) from \"{table}\" where code = 'in the wal'"
            assert source.rows(query) == [(1,)]
            assert copy.execute(query).fetchall() == [(0,)]
    subjects.arrive()


def restore(side: Side, copy: Path) -> None:
    """Put a copy in the place of the database, as whoever restores a backup does."""
    side.close()
    path(side).unlink()
    shutil.copy(copy, path(side))
    side.connection = side.connect()


def back_up(side: Side, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        side.connection.backup(connection)


def codes(side: Side) -> set[str]:
    return {code for (code,) in side.rows("select code from subject")}


def test_a_restored_copy_goes_on_where_nothing_was_sealed_since(subjects: Journey, tmp_path: Path) -> None:
    """Numbers of changes are used again for other ones; what was never sealed is nobody's memory."""
    back_up(subjects.source, tmp_path / "backup.db")
    subjects.write("insert into subject (code) values ('lost')")
    restore(subjects.source, tmp_path / "backup.db")
    subjects.arrive("insert into subject (code) values ('after')")


@pytest.mark.parametrize("quietly", [False, True], ids=["writes at once", "replicates first"])
@pytest.mark.parametrize(
    "batches", [(1, 1), (1, 3), (3, 1)], ids=lambda counts: f"{counts[0]} live, {counts[1]} restored"
)
def test_a_restored_copy_never_loses_a_change_without_a_word(
    subjects: Journey, tmp_path: Path, batches: tuple[int, int], quietly: bool
) -> None:
    """Its next batch has a number that the server knows under another digest; to take it for that one loses rows."""
    back_up(subjects.source, tmp_path / "backup.db")
    for i in range(batches[0]):
        subjects.arrive(f"insert into subject (code) values ('live {i}')")
    restore(subjects.source, tmp_path / "backup.db")
    said = []
    for i in range(batches[1] + quietly):
        if i >= quietly:
            subjects.source.run("insert into subject (code) values (?)", (f"restored {i}",))
        try:
            replicate(subjects.config)
        except CdcSyncError as error:
            said.append(error)
    missing = codes(subjects.source) - codes(subjects.target)
    assert not missing or said, f"lost without a word: {missing}"
    assert not missing or waiting(subjects.config) or len(said) > 1, f"status says that all is well: {missing}"
    assert not missing or any(error.hint for error in said)


def test_the_way_out_of_a_restored_copy_sends_what_it_holds(subjects: Journey, tmp_path: Path) -> None:
    back_up(subjects.source, tmp_path / "backup.db")
    subjects.arrive("insert into subject (code) values ('live')")
    restore(subjects.source, tmp_path / "backup.db")
    with pytest.raises(RejectedBatch, match="restored from a copy") as raised:
        for code in ("restored", "restored too"):
            subjects.source.run("insert into subject (code) values (?)", (code,))
            replicate(subjects.config)
    assert "cdc-sync rejoin" in raised.value.hint
    with databases.connect(subjects.config.node.database, subjects.config.folder) as database:
        rejoin.rejoin(database, subjects.config)
    replicate(subjects.config)
    assert codes(subjects.target) == codes(subjects.source) | {"live"}
    subjects.others = {"subject": {("live",): (None, None)}}
    subjects.arrive("delete from subject where id = 2")


# --- what is known of this SQLite


@pytest.mark.skipif(sqlite3.sqlite_version_info > (3, 51, 2), reason="this SQLite has no such flaw")
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_doctor_knows_that_old_versions_can_damage_a_file_in_wal_mode(subjects: Journey, mode: str) -> None:
    """Two processes that write and checkpoint in one instant: an application and a replicator (3.7.0 to 3.51.2)."""
    set_mode(subjects.source, mode)
    config = subjects.config
    with databases.connect(config.node.database, config.folder) as database:
        found = [finding for finding in doctor.examine(database, config) if "WAL" in finding.message]
    assert [finding.urgent for finding in found] == ([False] if mode == "wal" else [])
