"""Traps of writers in SQLite: other programs, older ones, hostile settings, attached and temporary databases."""

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, Side, replicate, waiting

SCHEMA = """
create table subject (id {pk}, code text not null unique, phone text unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    code text not null, unique (subject_id, code));
"""
SUBJECT = Shape("subject", ("code",), ("phone", "note"))
VISIT = Shape("visit", ("subject_id>subject.code", "code"))
WORK = """
insert into subject (code, phone, note) values ('s4', 'p4', 'new'), ('s5', 'p5', 'new');
update subject set note = 'changed', code = code || '!' where code = 's1';
insert or replace into subject (code, phone) values ('s9', 'p2');
insert or ignore into subject (code) values ('s3'), ('s7');
insert into visit (subject_id, code) select id, 'v' from subject where code <> 's5';
delete from subject where code = 's5';
"""
CODES = ["s1!", "s3", "s4", "s7", "s9"]


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side("sqlite", "target")


@pytest.fixture
def subjects(start: Start) -> Journey:
    """Three subjects, replicated."""
    journey = start(SCHEMA, {"subject": ["code"], "visit": ["subject_id", "code"]}, SUBJECT, VISIT)
    journey.arrive("insert into subject (code, phone) values ('s1', 'p1'), ('s2', 'p2'), ('s3', 'p3')")
    return journey


def path(side: Side) -> str:
    return side.url.removeprefix("sqlite:///")


def arrived(journey: Journey) -> None:
    journey.arrive()
    assert [code for (code,) in journey.target.rows("select code from subject order by code")] == CODES
    assert waiting(journey.config) == 0


# --- other programs

PROGRAM = """
import sqlite3, sys
assert not any("cdc_sync" in name for name in sys.modules)
connection = sqlite3.connect(sys.argv[1])
connection.executescript(sys.argv[2])
connection.close()
"""


@pytest.mark.parametrize("settings", ["", "pragma trusted_schema = 0;", "pragma recursive_triggers = 1;"])
@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_program_that_knows_nothing_of_us_is_captured(subjects: Journey, settings: str, mode: str) -> None:
    """A trigger that calls a function of its installer breaks every other program: no such function."""
    subjects.source.run(f"pragma journal_mode = {mode}")
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, path(subjects.source), settings + WORK]
    subprocess.run(command, check=True, cwd="/", env={}, timeout=60)
    arrived(subjects)


SHELL = shutil.which("sqlite3")


@pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed")
@pytest.mark.parametrize(
    "options", [[], ["-cmd", "pragma trusted_schema = 0"], ["-safe"]], ids=["", "untrusted", "safe"]
)
def test_the_sqlite3_shell_is_captured(subjects: Journey, options: list[str]) -> None:
    subprocess.run([str(SHELL), *options, path(subjects.source)], input=WORK, text=True, check=True, timeout=60)
    arrived(subjects)


@pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed")
def test_rows_that_the_sqlite3_shell_imports_are_captured(subjects: Journey, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("4,s4,p4,new\n5,s5,p5,\n", encoding="utf-8")
    commands = f'.import --csv "{tmp_path / "rows.csv"}" subject\n'
    subprocess.run([str(SHELL), path(subjects.source)], input=commands, text=True, check=True, timeout=60)
    subjects.arrive()
    assert subjects.target.rows("select count(*) from subject") == [(5,)]


HOSTILE = [
    "trusted_schema = 0",
    "recursive_triggers = 1",
    "foreign_keys = 0",
    "defer_foreign_keys = 1",
    "legacy_alter_table = 1",
    "ignore_check_constraints = 1",
    "case_sensitive_like = 1",
    "reverse_unordered_selects = 1",
    "cell_size_check = 1",
    "read_uncommitted = 1",
    "secure_delete = 1",
    "locking_mode = exclusive",
    "temp_store = memory",
    "automatic_index = 0",
    "count_changes = 1",
    "full_column_names = 1",
    "short_column_names = 0",
]


@pytest.mark.parametrize("pragma", HOSTILE)
def test_no_setting_of_a_connection_keeps_its_writes_from_being_captured(subjects: Journey, pragma: str) -> None:
    with closing(sqlite3.connect(path(subjects.source), isolation_level=None)) as connection:
        connection.execute(f"pragma {pragma}").fetchall()
        for statement in WORK.split(";"):
            connection.execute(statement).fetchall()
    arrived(subjects)


def test_a_connection_whose_own_functions_have_the_names_of_sqlites_is_captured(subjects: Journey) -> None:
    """An application may replace any built-in function for its own connection, the clock too."""
    with closing(sqlite3.connect(path(subjects.source), isolation_level=None)) as connection:
        for arity in (-1, 0):
            connection.create_function("julianday", arity, lambda *_: "no time at all")
        connection.executescript(WORK)
    arrived(subjects)


# --- attached and temporary databases


@pytest.mark.parametrize("main", [":memory:", "other.db"])
def test_a_writer_that_attaches_our_file_under_another_name_is_captured(
    subjects: Journey, tmp_path: Path, main: str
) -> None:
    """Triggers see nothing outside their own file, so the changes must stand in it."""
    other = main if main == ":memory:" else str(tmp_path / main)
    with closing(sqlite3.connect(other, isolation_level=None)) as connection:
        connection.execute("attach ? as clinic", (path(subjects.source),))
        connection.execute("create table subject (id integer primary key, code text)")
        connection.execute("begin")
        connection.execute("insert into main.subject (code) values ('elsewhere')")
        for statement in WORK.split(";"):
            connection.execute(re.sub(r"\b(into|update|from) (subject|visit)\b", r"\1 clinic.\2", statement))
        connection.execute("commit")
    arrived(subjects)


def test_temporary_tables_of_the_same_names_divert_nothing(subjects: Journey) -> None:
    names = [name for (name,) in subjects.source.rows("select name from sqlite_master where type = 'table'")]
    with closing(sqlite3.connect(path(subjects.source), isolation_level=None)) as connection:
        for name in names:
            connection.execute(f'create temporary table "{name}" (x)')
        for statement in WORK.split(";"):
            connection.execute(re.sub(r"\b(into|update|from) (subject|visit)\b", r"\1 main.\2", statement))
    arrived(subjects)


# --- a writer that dies

DYING = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("insert into subject (code) values ('committed')")
connection.execute("begin immediate")
connection.execute("pragma cache_size = 1")
connection.execute("pragma cache_spill = 1")
for i in range(2000):
    connection.execute("insert into subject (code, note) values (?, ?)", (f"lost {i}", "x" * 500))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
def test_a_writer_killed_amid_a_transaction_leaves_its_committed_rows_and_no_others(
    subjects: Journey, mode: str
) -> None:
    """What the session extension records is in memory until it is read; ours is committed with the row."""
    subjects.source.run(f"pragma journal_mode = {mode}")
    done = subprocess.run([sys.executable, "-I", "-c", DYING, path(subjects.source)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    subjects.arrive()
    assert subjects.target.rows("select count(*) from subject") == [(4,)]


# --- the oldest program that writes sets the dialect

TOO_NEW = {
    "RETURNING (3.35)": r"\breturning\b",
    "UPSERT (3.24)": r"\bon\s+conflict\b|\bexcluded\b",
    "STRICT (3.37)": r"\bstrict\b",
    "true and false (3.23)": r"\b(true|false)\b",
    "is distinct from (3.39)": r"\bdistinct\s+from\b",
    "window functions (3.25)": r"\bover\s*\(|\bfilter\s*\(",
    "UPDATE FROM (3.33)": r"\bupdate\s+x\s+set\b[^;]*\bfrom\b",
    "generated columns (3.31)": r"\bgenerated\b",
    "materialized (3.35)": r"\bmaterialized\b",
    "JSON operators (3.38)": r"->",
    "JSON functions": r"\bjson",
    "subsec (3.42)": r"\bsubsec",
    "unixepoch() (3.38)": r"\bunixepoch\b",
    "format() (3.38)": r"\bformat\s*\(",
    "iif() (3.32)": r"\biif\s*\(",
    "math functions (3.35)": r"\b(floor|ceil|trunc|log|pow|sqrt)\s*\(",
    "nulls first (3.30)": r"\bnulls\s+(first|last)\b",
    "a pragma's table, refused under trusted_schema = 0": r"\bpragma",
}
FUNCTIONS = {"julianday", "typeof"}
KEYWORDS = {"values", "exists", "where", "when", "not", "and", "or", "is"}


def plain(sql: str) -> str:
    """The text without comments, names and constants."""
    return re.sub(r"--[^\n]*|\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", " x ", sql).lower()


@pytest.mark.parametrize("skip_unchanged", [False, True])
def test_an_sqlite_of_2018_understands_what_stands_in_the_schema(start: Start, skip_unchanged: bool) -> None:
    """Who cannot parse a trigger cannot write the table; so no syntax in it may be newer than 3.24."""
    entry = {"key": ["code"], "skip_unchanged": skip_unchanged}
    journey = start(SCHEMA, {"subject": entry, "visit": ["subject_id", "code"]})
    objects = journey.source.rows("select type, sql from sqlite_master where name like 'cdc\\_sync\\_%' escape '\\'")
    triggers = [sql for kind, sql in objects if kind == "trigger"]
    assert len(triggers) == 10
    for sql in (sql for _, sql in objects if sql):
        found = [what for what, pattern in TOO_NEW.items() if re.search(pattern, plain(sql))]
        assert not found, sql
    for sql in triggers:
        called = set(re.findall(r"\b([a-z_]\w*)\s*\(", plain(sql))) - KEYWORDS - {"x"}
        assert called <= FUNCTIONS, sql
        assert not re.search(r"\b(replace|ignore)\b", plain(sql)), sql


def test_nothing_of_ours_is_needed_to_open_and_check_the_file(subjects: Journey) -> None:
    with closing(sqlite3.connect(path(subjects.source))) as connection:
        connection.execute("pragma trusted_schema = 0")
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        dump = "\n".join(connection.iterdump())
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.executescript(dump)
        assert copy.execute("select count(*) from subject").fetchall() == [(3,)]
    replicate(subjects.config)
