"""Traps of keys and names in SQLite: nulls in a primary key, collations, normal forms, and names of every kind."""

from pathlib import Path

import pytest

from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, Tables, install, write_config


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


# --- a primary key that is null

PHONE = Shape("subject", ("code",), ("phone", "note"))
SUBJECT = "code text not null unique, phone text unique, note text"
NULLS = {
    "text": (f"create table subject (id text primary key, {SUBJECT})",) * 2,
    "two columns": (f"create table subject (id text, part text, {SUBJECT}, primary key (id, part))",) * 2,
    "descending": (
        f"create table subject (id integer primary key desc, {SUBJECT})",
        f"create table subject (id integer primary key, {SUBJECT})",
    ),
}
LIVES = {
    "updated": ["update subject set note = 'n' where code = 's1'"],
    "renamed": ["update subject set code = 's9' where code = 's1'"],
    "deleted": ["delete from subject where code = 's1'"],
    "replaced": ["insert or replace into subject (code, phone) values ('s9', 'p2')"],
    "everything": [
        "insert into subject (code, phone) values ('s5', 'p5'), ('s6', 'p6')",
        "delete from subject where code in ('s2', 's6')",
        "update subject set note = 'n'",
        "update subject set code = code || 'x', phone = null where code = 's3'",
    ],
}


@ONLY_SQLITE
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
@pytest.mark.parametrize("schemas", NULLS.values(), ids=NULLS.keys())
def test_rows_whose_primary_key_is_null_are_told_apart_by_their_natural_key(
    pair: Pair, tmp_path: Path, schemas: tuple[str, str], life: list[str]
) -> None:
    """A text primary key takes several nulls, and so does INTEGER PRIMARY KEY DESC, which stands for no rowid."""
    journey = begin(pair, tmp_path, schemas, {"subject": ["code"]}, PHONE)
    journey.arrive("insert into subject (code, phone) values ('s1', 'p1'), ('s2', 'p2'), ('s3', 'p3')")
    journey.arrive(*life)


# --- keys that compare in their own way

NOCASE = "create table subject (id integer primary key, code text not null collate nocase unique, note text)"
CITEXT = "create extension if not exists citext; create table subject (id {pk}, code citext not null unique, note text)"
COUNTED = Shape("subject", ("code",), ("note",))


@pytest.mark.parametrize("recursive", ["off", "on"])
def test_keys_that_differ_in_case_only_are_one_under_nocase(pair: Pair, tmp_path: Path, recursive: str) -> None:
    there = NOCASE if pair[1].kind == "sqlite" else CITEXT
    journey = begin(pair, tmp_path, (NOCASE, there), {"subject": ["code"]}, COUNTED)
    journey.source.run(f"pragma recursive_triggers = {recursive}")
    journey.arrive("insert into subject (code, note) values ('HH1', 'a'), ('hh2', 'b')")
    before = sorted(journey.ids("subject").values())
    journey.arrive("update subject set code = 'hh1' where id = 1")
    assert sorted(journey.ids("subject").values()) == before
    journey.arrive("insert or replace into subject (code, note) values ('Hh2', 'c')")
    journey.arrive("insert or ignore into subject (code, note) values ('HH2', 'd')")
    journey.arrive("insert into subject (code) values ('HH2') on conflict (code) do update set note = 'e'")
    journey.arrive("delete from subject where code = 'HH1'", "insert into subject (code, note) values ('HH1', 'f')")


def test_keys_that_differ_in_case_only_are_two_without_it(start: Start) -> None:
    schema = "create table subject (id {pk}, code text not null unique, note text);"
    journey = start(schema, {"subject": ["code"]}, COUNTED)
    journey.arrive("insert into subject (code) values ('HH1'), ('hh1')")
    journey.arrive("update subject set code = 'Hh1' where code = 'hh1'", "delete from subject where code = 'HH1'")


def test_the_two_normal_forms_of_one_letter_are_two_keys(start: Start) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    schema = "create table subject (id {pk}, code text not null unique, note text);"
    journey = start(schema, {"subject": ["code"]}, COUNTED)
    journey.arrive(f"insert into subject (code, note) values ('{composed}', 'nfc'), ('{decomposed}', 'nfd')")
    journey.arrive(f"update subject set note = 'n' where code = '{composed}'")
    journey.arrive(f"delete from subject where code = '{composed}'")
    assert journey.target.rows("select code, note from subject") == [(decomposed, "nfd")]


def test_trailing_blanks_and_empty_keys_are_keys_of_their_own(start: Start) -> None:
    schema = "create table subject (id {pk}, code text not null unique, note text);"
    journey = start(schema, {"subject": ["code"]}, COUNTED)
    journey.arrive("insert into subject (code, note) values ('', 'a'), (' ', 'b'), ('x', 'c'), ('x ', 'd')")
    journey.arrive("update subject set note = 'n' where code in ('', 'x ')", "delete from subject where code = 'x'")


# --- names

NAMES = [
    "select",
    "order",
    "Table",
    "group by",
    "CamelCase",
    "with space",
    " leading and trailing ",
    'double"quote',
    'two""quotes"',
    "it's",
    "back`tick",
    "[brackets]",
    "semi;colon",
    "dash--dash",
    "/*comment*/",
    "percent%s",
    'colon :name :"hole" :{hole} ::',
    "question?mark",
    "dot.ted",
    "new",
    "old",
    "excluded",
    "rowid",
    "_rowid_",
    "t",
    "k",
    "e",
    "c0",
    "1st",
    "größe",
    "имя",
    "名前",
    "🦟",
    "naïve\u0301",
    "line\nbreak",
    "tab\there",
    "back\\slash",
    "sqlite",
    "current_date",
    "null",
    "x" * 200,
    "é" * 60,
]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@ONLY_SQLITE
@pytest.mark.parametrize("name", NAMES)
def test_a_table_and_its_columns_may_have_any_name(pair: Pair, tmp_path: Path, name: str) -> None:
    """The name as a table, as a key column, and as a column beside it."""
    table, other = quoted(name), quoted(f"{name}2")
    second = quoted(f"{name} child")
    schema = f"""
        create table {table} (id integer primary key, {table} text not null unique, {other} text unique);
        create table {second} (id integer primary key, {table} integer not null references {table} (id)
            on delete cascade, {other} text not null, unique ({table}, {other}));"""
    tables = {name: [name], f"{name} child": [name, f"{name}2"]}
    journey = begin(pair, tmp_path, (schema, schema), tables)
    source = journey.source

    def arrive(*statements: str) -> None:
        for statement in statements:
            source.run(statement)
        journey.arrive()
        for query in (f"select {table}, {other} from {table} order by 1", both):
            assert journey.target.rows(query) == source.rows(query)

    both = f"select p.{table}, c.{other} from {second} c join {table} p on p.id = c.{table} order by 1, 2"
    arrive(
        f"insert into {table} (id, {table}, {other}) values (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')",
        f"insert into {second} ({table}, {other}) values (1, 'v'), (2, 'v'), (3, 'v')",
    )
    arrive(f"update {table} set {table} = 'd' where {table} = 'a'", f"update {second} set {other} = 'w'")
    arrive(f"insert or replace into {table} ({table}, {other}) values ('b', 'z')", f"delete from {table} where id = 1")


@pytest.mark.parametrize("names", [("Subject", "Code"), ("SUBJECT", "CODE"), ("größe", "Maß"), ("order", "group")])
def test_names_with_capitals_and_reserved_words_reach_both_kinds_of_server(
    pair: Pair, tmp_path: Path, names: tuple[str, str]
) -> None:
    table, key = names
    schema = f'create table "{table}" (id {{pk}}, "{key}" text not null unique, "End" text);'
    journey = begin(pair, tmp_path, (schema, schema), {table: [key]}, Shape(table, (key,), ("End",)))
    journey.arrive(f"insert into \"{table}\" (\"{key}\", \"End\") values ('a', 'x'), ('b', 'y')")
    journey.arrive(f'update "{table}" set "{key}" = \'c\' where "{key}" = \'a\'', f'delete from "{table}" where id = 2')


@ONLY_SQLITE
@pytest.mark.parametrize("column", ["cdc_sync_seq", "CDC_Sync_Op", "cdc_sync_old_0"])
def test_a_column_that_is_called_like_one_of_ours_is_refused_by_name(pair: Pair, tmp_path: Path, column: str) -> None:
    schema = f"create table subject (id {{pk}}, code text not null unique, {column} text);"
    for side in pair:
        side.script(schema)
    config = write_config(tmp_path, "laptop", *pair, {"subject": ["code"]})
    with pytest.raises(CdcSyncError, match=column):
        install(config)
    assert pair[0].rows("select name from sqlite_master where name like 'cdc%'") == []


@ONLY_SQLITE
def test_two_tables_whose_names_begin_alike_for_200_letters_are_kept_apart(pair: Pair, tmp_path: Path) -> None:
    names = ["x" * 200 + end for end in ("1", "2")]
    schema = "".join(f'create table "{name}" (id {{pk}}, code text not null unique, note text);' for name in names)
    shapes = [Shape(name, ("code",), ("note",)) for name in names]
    journey = begin(pair, tmp_path, (schema, schema), {name: ["code"] for name in names}, *shapes)
    journey.arrive(*(f"insert into \"{name}\" (code, note) values ('a', '{name[-1]}')" for name in names))
    journey.arrive(f'delete from "{names[0]}"')
