"""Traps of schema changes in SQLite: triggers that name a column, go with a table, or stay behind with another."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair
from tests.nodes import Shape, Side, Tables, by_natural_key, install, replicate, waiting, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text, age integer, phone text);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    code text not null, unique (subject_id, code));
"""
SUBJECT = Shape("subject", ("code",), ("note", "age", "phone"))
VISIT = Shape("visit", ("subject_id>subject.code", "code"))
TABLES: Tables = {"subject": ["code"], "visit": ["subject_id", "code"]}
ROWS = "insert into subject (id, code, note, age, phone) values (1, 's1', 'a', 1, 'p1'), (2, 's2', 'b', 2, 'p2')"
VISITS = "insert into visit (subject_id, code) values (1, 'v1'), (1, 'v2'), (2, 'v1')"
MORE = "insert into subject (id, code, note, age, phone) values (3, 's3', 'c', 3, 'p3'), (4, 's4', 'd', 4, 'p4')"


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side("sqlite", "target")


def begin(pair: Pair, folder: Path, tables: Tables = TABLES, *shapes: Shape) -> Journey:
    for side in pair:
        side.script(SCHEMA)
    config = write_config(folder, "laptop", *pair, tables)
    install(config)
    return Journey(pair, config, shapes or (SUBJECT, VISIT))


@pytest.fixture
def subjects(pair: Pair, tmp_path: Path) -> Journey:
    """Four subjects with visits on the server; and waiting: a new row, a changed, a renamed, a deleted one."""
    journey = begin(pair, tmp_path)
    journey.arrive(ROWS, VISITS, MORE)
    journey.write(
        "insert into subject (code, note) values ('s5', 'waits')",
        "update subject set note = 'waits' where code = 's1'",
        "update subject set code = 's9' where code = 's2'",
        "delete from subject where code = 's3'",
        "insert into visit (subject_id, code) values (4, 'waits')",
    )
    return journey


# --- DROP COLUMN

HAS_DROP_COLUMN = pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="DROP COLUMN came with SQLite 3.35")


@HAS_DROP_COLUMN
def test_drop_column_while_a_trigger_names_it_is_refused_by_sqlite_and_harms_nothing(subjects: Journey) -> None:
    """A known limit: ``pause`` first. What must not be is half a schema, or capture that ends."""
    before = subjects.source.rows("select name, sql from sqlite_master order by 1")
    with pytest.raises(sqlite3.OperationalError, match="error in trigger"):
        subjects.source.run("alter table subject drop column note")
    assert subjects.source.rows("select name, sql from sqlite_master order by 1") == before
    subjects.arrive("update subject set note = 'after'", "insert into subject (code) values ('s6')")


@HAS_DROP_COLUMN
def test_a_column_that_is_excluded_can_be_dropped(pair: Pair, tmp_path: Path) -> None:
    """No trigger names it; the file has to forget it."""
    shape = Shape("subject", ("code",), ("note",))
    tables: Tables = {"subject": {"key": ["code"], "exclude": ["phone", "age"]}}
    journey = begin(pair, tmp_path, tables, shape)
    journey.arrive(ROWS)
    journey.write("update subject set note = 'waits'", "insert into subject (code) values ('s3')")
    journey.source.run("alter table subject drop column phone")
    journey.write("update subject set note = 'after' where code = 's1'", "delete from subject where id = 2")
    journey.config = write_config(tmp_path, "laptop", *pair, {"subject": {"key": ["code"], "exclude": ["age"]}})
    install(journey.config)
    journey.arrive("insert or replace into subject (code, note) values ('s1', 'new')")


# --- RENAME


def test_a_renamed_table_breaks_no_write_and_loses_no_change(subjects: Journey) -> None:
    """SQLite rewrites our triggers, so that capture goes on under the other name; the file must say it, or be told."""
    source = subjects.source
    source.run("alter table subject rename to person")
    source.run("update person set note = 'renamed' where code = 's4'")
    source.run("insert into person (code) values ('s6')")
    source.run("insert or replace into person (code, note) values ('s1', 'replaced')")
    with pytest.raises(CdcSyncError, match="subject"):
        replicate(subjects.config)
    source.run("alter table person rename to subject")
    subjects.arrive("update subject set note = 'back' where code = 's6'")


def test_a_table_renamed_on_both_sides_goes_on_once_the_file_names_it(subjects: Journey, tmp_path: Path) -> None:
    for side in subjects.source, subjects.target:
        side.run("alter table subject rename to person")
    subjects.source.run("update person set note = 'renamed' where code = 's4'")
    tables: Tables = {"person": ["code"], "visit": ["subject_id", "code"]}
    config = write_config(tmp_path, "laptop", subjects.source, subjects.target, tables)
    install(config)
    subjects.source.run("insert into person (code) values ('s6')")
    replicate(config)
    for shape in (Shape("person", ("code",), ("note",)), Shape("visit", ("subject_id>person.code", "code"))):
        assert by_natural_key(subjects.target, shape) == by_natural_key(subjects.source, shape)


def test_a_column_renamed_to_anothers_former_name_travels_under_its_new_one(subjects: Journey) -> None:
    """Two columns change places; a change table that keeps columns by name must not mix them up."""
    for side in subjects.source, subjects.target:
        for old, new in (("note", "aside"), ("phone", "note"), ("aside", "phone")):
            side.run(f"alter table subject rename column {old} to {new}")
    subjects.arrive("update subject set note = 'was a phone' where code = 's4'")


def test_a_renamed_primary_key_keeps_what_waits(subjects: Journey) -> None:
    for side in subjects.source, subjects.target:
        side.run("alter table subject rename column id to number")
    subjects.shapes = (SUBJECT, Shape("visit", ("subject_id>subject(number).code", "code")))
    subjects.arrive(
        "insert into subject (number, code) values (70, 's6')",
        "insert into visit (subject_id, code) values (70, 'v')",
        "delete from subject where code = 's4'",
    )


# --- ADD COLUMN


@pytest.mark.parametrize(
    "definition",
    [
        "extra text",
        "extra text default 'filled'",
        "extra integer not null default 7",
        "extra text collate nocase default 'x'",
        "extra text generated always as (upper(code)) virtual",
        "extra integer references subject (id)",
    ],
)
def test_an_added_column_of_every_kind_travels(subjects: Journey, definition: str) -> None:
    for side in subjects.source, subjects.target:
        side.run(f"alter table subject add column {definition}")
    shape = Shape("subject", ("code",), ("note", "extra>subject.code" if "references" in definition else "extra"))
    subjects.shapes = (shape, VISIT)
    subjects.arrive("insert into subject (code) values ('s6')")
    if "generated" not in definition:
        subjects.arrive("update subject set extra = (select id from subject where code = 's6') where code = 's1'")


# --- indexes


def test_a_unique_index_that_comes_after_ours_is_known_before_it_can_replace_a_row(subjects: Journey) -> None:
    """Until capture is renewed nothing of ours looks at it."""
    subjects.source.run("create unique index phones on subject (phone)")
    subjects.source.run("insert or replace into subject (code, phone) values ('s6', 'p4')")
    subjects.arrive("insert into subject (code) values ('s7')")
    subjects.arrive("insert or replace into subject (code, phone) values ('s8', 'p1')")


def test_a_unique_index_that_goes_leaves_capture_at_work(pair: Pair, tmp_path: Path) -> None:
    journey = begin(pair, tmp_path)
    journey.source.run("create unique index phones on subject (phone)")
    journey.arrive(ROWS, VISITS)
    journey.source.run("drop index phones")
    journey.arrive("insert or replace into subject (code, phone) values ('s6', 'p1')")


# --- rebuilds, with changes that wait

COPY = "id, code, note, age, phone"
TEMPLATE = "create table {0} (id integer primary key, code text not null unique, note text, age integer, phone text);"
INTO = "insert into {0} (" + COPY + ") select " + COPY + " from {1};"
REBUILDS = {
    "Django": (
        TEMPLATE.format('"new__subject"')
        + INTO.format('"new__subject"', '"subject"')
        + 'drop table "subject"; alter table "new__subject" rename to "subject";'
    ),
    "Alembic": (
        TEMPLATE.format("_alembic_tmp_subject")
        + INTO.format("_alembic_tmp_subject", "subject")
        + "drop table subject; alter table _alembic_tmp_subject rename to subject;"
    ),
    "the old one moved away first": (
        "pragma legacy_alter_table = on; alter table subject rename to subject_old;"
        + TEMPLATE.format("subject")
        + INTO.format("subject", "subject_old")
        + "drop table subject_old; pragma legacy_alter_table = off;"
    ),
    "a copy aside and back": (
        "create temporary table backup as select * from subject; drop table subject;"
        + TEMPLATE.format("subject")
        + INTO.format("subject", "backup")
        + "drop table backup;"
    ),
}


def rebuild(side: Side, how: str) -> None:
    """As migrations do it: foreign keys off, one transaction."""
    with closing(sqlite3.connect(side.url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.executescript(f"pragma foreign_keys = off; begin; {REBUILDS[how]} commit;")


@pytest.mark.parametrize("how", REBUILDS)
def test_a_rebuild_with_changes_waiting_loses_none_and_capture_is_back(subjects: Journey, how: str) -> None:
    """The triggers go with the old table, without a word; what comes next is seen by nobody until they are back."""
    rebuild(subjects.source, how)
    source = subjects.source
    source.run("insert into subject (code) values ('unseen')")
    source.run("update subject set note = 'unseen' where code = 's4'")
    source.run("update subject set code = 's10' where code = 's9'")
    source.run("delete from subject where code = 's1'")
    subjects.arrive()
    subjects.arrive("delete from subject where code = 's4'", "update subject set note = 'seen'")


@pytest.mark.parametrize("how", REBUILDS)
def test_a_rebuild_that_is_rolled_back_changes_nothing(subjects: Journey, how: str) -> None:
    """DDL is transactional: the triggers come back with the table."""
    before = subjects.source.rows("select name, sql from sqlite_master order by 1")
    with closing(sqlite3.connect(subjects.source.url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.executescript(f"pragma foreign_keys = off; begin; {REBUILDS[how]} rollback;")
    assert subjects.source.rows("select name, sql from sqlite_master order by 1") == before
    subjects.arrive("update subject set note = 'seen'")


@pytest.mark.parametrize("how", REBUILDS)
def test_a_rebuild_on_both_sides_during_which_every_id_changes_is_followed(subjects: Journey, how: str) -> None:
    rebuild(subjects.source, how)
    rebuild(subjects.target, how)
    source = subjects.source
    source.run("pragma foreign_keys = off")
    source.run("update visit set subject_id = subject_id + 1000")
    source.run("update subject set id = id + 1000")
    source.run("pragma foreign_keys = on")
    subjects.arrive()
    subjects.arrive("delete from visit where code = 'v1'", "update subject set code = code || '!'")


def test_a_rebuild_that_makes_a_column_unique_is_known_to_replace(subjects: Journey) -> None:
    connection = sqlite3.connect(subjects.source.url.removeprefix("sqlite:///"), isolation_level=None)
    text = REBUILDS["Django"].replace("phone text", "phone text unique")
    with closing(connection):
        connection.executescript(f"pragma foreign_keys = off; begin; {text} commit;")
    subjects.source.run("insert or replace into subject (code, phone) values ('unseen', 'p4')")
    subjects.arrive()
    subjects.arrive("insert or replace into subject (code, phone) values ('seen', 'p1')")


# --- installation beside a writer


def write_rows(path: str, started: threading.Event, stop: threading.Event, written: list[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        while not stop.is_set():
            code = f"w{len(written)}"
            connection.execute("insert into subject (code, note) values (?, 'w')", (code,))
            written.append(code)
            started.set()
            time.sleep(0.001)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_rows_written_while_triggers_are_installed_are_not_lost(pair: Pair, tmp_path: Path, mode: str) -> None:
    """Installed statement by statement there would be a moment between the copy and the last trigger."""
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    source.run(f"pragma journal_mode = {mode}")
    config = write_config(tmp_path, "laptop", source, target, TABLES)
    started, stop, written = threading.Event(), threading.Event(), list[str]()
    writer = threading.Thread(target=write_rows, args=(source.url.removeprefix("sqlite:///"), started, stop, written))
    writer.start()
    started.wait(10)
    install(config, include_existing=True)
    source.run("alter table subject add column extra text")
    target.run("alter table subject add column extra text")
    replicate(config)
    stop.set()
    writer.join()
    replicate(config)
    assert len(by_natural_key(target, SUBJECT)) == len(written) > 0
    assert by_natural_key(target, SUBJECT) == by_natural_key(source, SUBJECT)
    assert waiting(config) == 0
