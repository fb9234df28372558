"""Traps of tables in SQLite: without rowid, strict, generated, wide, virtual, keys that compare in their own way."""

import sqlite3
from pathlib import Path

import pytest

from cdc_sync.errors import ConfigError, SchemaMismatch
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, Tables, install, replicate, write_config

STRICT = pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="STRICT came with SQLite 3.37")


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side(request.param, "target")


ONLY_SQLITE = pytest.mark.parametrize("pair", ["sqlite"], indirect=True)


def begin(pair: Pair, folder: Path, schemas: tuple[str, str], tables: Tables, *shapes: Shape) -> Journey:
    """Databases whose schemas differ, and our triggers."""
    for side, schema in zip(pair, schemas, strict=True):
        side.script(schema)
    config = write_config(folder, "laptop", *pair, tables)
    install(config)
    return Journey(pair, config, shapes)


# --- kinds of tables

FORMS = {
    "without rowid": "code text not null primary key, phone text unique, note text) without rowid",
    "without rowid, two columns": (
        "code text not null, phone text unique, note text, ward text not null default 'w', primary key (ward, code),"
        " unique (code)) without rowid"
    ),
    "without a primary key": "code text not null unique, phone text unique, note text)",
    "autoincrement": ("id integer primary key autoincrement, code text not null unique, phone text unique, note text)"),
    "a primary key that is no rowid": (
        "id int not null primary key default (abs(random())), code text not null unique, phone text unique, note text)"
    ),
    "strict": "id integer primary key, code text not null unique, phone text unique, note any) strict",
    "strict without rowid": "code text not null primary key, phone text unique, note any) strict, without rowid",
}
LIFE = (
    ["insert into subject (code, phone, note) values ('s1', 'p1', 'a'), ('s2', 'p2', 'b'), ('s3', 'p3', 'c')"],
    [
        "update subject set note = 'n' where code > 's1'",
        "update subject set code = 's9', note = null where code = 's1'",
    ],
    ["insert or replace into subject (code, phone) values ('s2', 'p3')"],
    ["insert or ignore into subject (code, phone) values ('s2', 'p8'), ('s5', 'p5')", "delete from subject where 0"],
    ["update or replace subject set phone = 'p5' where code = 's2'"],
    ["replace into subject (code, phone) values ('s9', 'p1'), ('s8', 'p1')", "delete from subject where code = 's2'"],
    ["insert into subject (code, phone) values ('s8', 'p0') on conflict (code) do update set phone = 'p0'"],
    ["delete from subject", "insert into subject (code, phone) values ('s1', 'p1')"],
)


@ONLY_SQLITE
@pytest.mark.parametrize("recursive", ["off", "on"])
@pytest.mark.parametrize("form", FORMS)
def test_tables_of_every_form_are_captured(pair: Pair, tmp_path: Path, form: str, recursive: str) -> None:
    """The update hook sees nothing of WITHOUT ROWID tables, the session extension nothing of tables without a key."""
    if form.startswith("strict") and sqlite3.sqlite_version_info < (3, 37):
        pytest.skip("STRICT came with SQLite 3.37")
    schema = f"create table subject ({FORMS[form]}"
    shape = Shape("subject", ("code",), ("phone", "note"))
    journey = begin(pair, tmp_path, (schema, schema), {"subject": ["code"]}, shape)
    journey.source.run(f"pragma recursive_triggers = {recursive}")
    for statements in LIFE:
        journey.arrive(*statements)
        journey.source.connection.rollback()


@STRICT
def test_a_strict_tables_values_of_every_type_arrive(start: Start) -> None:
    columns = "i integer, r real, t text, b blob"
    schema = {
        "sqlite": f"create table v (id integer primary key, code text not null unique, {columns}) strict",
        "postgresql": "create table v (id {pk}, code text not null unique, i bigint, r float8, t text, b bytea)",
    }
    journey = start(schema, {"v": ["code"]}, Shape("v", ("code",), ("i", "r", "t"), {}))
    source = journey.source
    source.run("insert into v (code, i, r, t, b) values ('a', ?, ?, ?, ?)", (2**63 - 1, -0.0, "t", b"\0\xff"))
    source.run("insert into v (code, i, r, t, b) values ('b', ?, ?, ?, ?)", (-(2**63), float("inf"), "", b""))
    with pytest.raises(sqlite3.IntegrityError):
        source.run("insert or ignore into v (code, i) values ('c', 'no number')")
    journey.arrive()
    assert sorted(bytes(b) for (b,) in journey.target.rows("select b from v")) == [b"", b"\0\xff"]


@pytest.mark.parametrize("pragma", ["UTF-16le", "UTF-16be"])
def test_a_utf16_database_is_captured(pair: Pair, tmp_path: Path, pragma: str) -> None:
    source = pair[0]
    source.run(f"pragma encoding = '{pragma}'")
    schema = "create table subject (id {pk}, code text not null unique, note text);"
    shape = Shape("subject", ("code",), ("note",))
    journey = begin(pair, tmp_path, (schema, schema), {"subject": ["code"]}, shape)
    assert source.rows("pragma encoding") == [(pragma,)]
    journey.arrive("insert into subject (code, note) values ('Größe', '😀 é'), ('s2', '')")
    journey.arrive("update subject set code = '𐍈' where code = 'Größe'", "replace into subject (code) values ('s2')")


# --- virtual tables

VIRTUAL = """
create virtual table words using fts5 (body);
create table subject (id integer primary key, code text not null unique, note text);
"""


def _has_fts5() -> bool:
    connection = sqlite3.connect(":memory:")
    found = connection.execute("select 1 from pragma_module_list where name = 'fts5'").fetchall()
    connection.close()
    return bool(found)


@pytest.mark.skipif(not _has_fts5(), reason="this SQLite has no fts5")
@ONLY_SQLITE
def test_a_virtual_table_is_refused_by_name(pair: Pair, tmp_path: Path) -> None:
    """No trigger can stand on one."""
    for side in pair:
        side.script(VIRTUAL)
    config = write_config(tmp_path, "laptop", *pair, {"subject": ["code"], "words": ["body"]})
    before = pair[0].rows("select name from sqlite_master order by 1")
    with pytest.raises(ConfigError, match="'words'"):
        install(config)
    assert pair[0].rows("select name from sqlite_master order by 1") == before


@pytest.mark.skipif(not _has_fts5(), reason="this SQLite has no fts5")
@ONLY_SQLITE
def test_a_wildcard_does_not_stand_for_virtual_tables_and_what_is_behind_them(pair: Pair, tmp_path: Path) -> None:
    for side in pair:
        side.script(VIRTUAL)
    shape = Shape("subject", ("code",), ("note",))
    config = write_config(tmp_path, "laptop", *pair, {"*": ["code"]})
    install(config)
    journey = Journey(pair, config, (shape,))
    journey.arrive("insert into subject (code) values ('s1')", "insert into words (body) values ('word')")
    assert journey.target.rows("select count(*) from words") == [(0,)]


@pytest.mark.skipif(not _has_fts5(), reason="this SQLite has no fts5")
@ONLY_SQLITE
def test_an_application_trigger_that_feeds_a_virtual_table_goes_on(pair: Pair, tmp_path: Path) -> None:
    for side in pair:
        side.script(VIRTUAL)
    pair[0].script("create trigger app after insert on subject begin insert into words values (new.note); end;")
    shape = Shape("subject", ("code",), ("note",))
    config = write_config(tmp_path, "laptop", *pair, {"subject": ["code"]})
    install(config)
    Journey(pair, config, (shape,)).arrive(
        "insert or replace into subject (code, note) values ('s1', 'a'), ('s1', 'b')"
    )
    assert pair[0].rows("select body from words order by 1") == [("a",), ("b",)]


# --- wide tables


@pytest.mark.parametrize("skip_unchanged", [False, True])
@pytest.mark.parametrize("count", [64, 128, 250])
def test_a_wide_table_is_captured(pair: Pair, tmp_path: Path, count: int, skip_unchanged: bool) -> None:
    """json_object() takes 127 arguments, which is 63 columns."""
    columns = [f"c{i}" for i in range(count)]
    schema = f"create table wide (id {{pk}}, code text not null unique, {', '.join(f'{c} text' for c in columns)});"
    entry = {"key": ["code"], "skip_unchanged": skip_unchanged}
    shape = Shape("wide", ("code",), tuple(columns))
    journey = begin(pair, tmp_path, (schema, schema), {"wide": entry}, shape)
    values = ", ".join(f"'{i}'" for i in range(count))
    journey.arrive(f"insert into wide (code, {', '.join(columns)}) values ('a', {values}), ('b', {values})")
    journey.arrive(f"update wide set c{count - 1} = 'last' where code = 'a'", "update wide set c0 = c0")
    journey.arrive(f"insert or replace into wide (id, code, c{count - 1}) values (1, 'c', 'new')")


# --- generated columns


@pytest.mark.parametrize("storage", ["stored", "virtual"])
def test_generated_columns_are_neither_captured_nor_sent(pair: Pair, tmp_path: Path, storage: str) -> None:
    """pragma table_info does not show them: only table_xinfo does."""
    made = f"upper(note) || code) {storage}"
    schema = (
        f"create table box (id {{pk}}, loud text generated always as ({made}, code text not null unique, note text);"
    )
    shape = Shape("box", ("code",), ("note", "loud"))
    journey = begin(pair, tmp_path, (schema, schema), {"box": ["code"]}, shape)
    change = journey.source.rows("select change_table from cdc_sync_captured")[0][0]
    captured = {name for (name,) in journey.source.rows(f"select name from pragma_table_xinfo('{change}')")}
    assert {"id", "code", "note"} <= captured
    assert "loud" not in captured
    journey.arrive("insert into box (code, note) values ('a', 'x'), ('b', null)")
    journey.arrive("update box set code = code || '!', note = 'n'", "replace into box (id, code) values (1, 'c')")


@ONLY_SQLITE
def test_a_generated_column_at_the_source_may_be_a_plain_one_at_the_server(pair: Pair, tmp_path: Path) -> None:
    """It is the server's own affair: the server keeps what it has."""
    there = "create table box (id {pk}, code text not null unique, note text, loud text default 'mine');"
    here = "create table box (id {pk}, code text not null unique, note text, loud text as (upper(note)));"
    journey = begin(pair, tmp_path, (here, there), {"box": ["code"]}, Shape("box", ("code",), ("note",)))
    journey.arrive("insert into box (code, note) values ('a', 'x')")
    journey.arrive("update box set note = 'y'")
    assert journey.target.rows("select loud from box") == [("mine",)]


@ONLY_SQLITE
def test_a_server_whose_integer_primary_key_hands_out_no_numbers_is_refused_by_name(pair: Pair, tmp_path: Path) -> None:
    """INTEGER PRIMARY KEY stands for the rowid, but not in a table WITHOUT ROWID, and not with DESC."""
    here = "create table box (id {pk}, code text not null unique);"
    there = "create table box (id integer primary key, code text not null unique) without rowid"
    journey = begin(pair, tmp_path, (here, there), {"box": ["code"]}, Shape("box", ("code",)))
    journey.source.run("insert into box (code) values ('a')")
    with pytest.raises(SchemaMismatch, match="'id'"):
        replicate(journey.config)
