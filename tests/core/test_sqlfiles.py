"""The ``.sql`` files' holes: what is filled, what is refused, and names that try to break out."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.databases.sqlfiles import columns, fill, literal, quote, read

HOSTILE = [
    'a"b',
    '"',
    "a.b",
    "a'b",
    "a;b--",
    "select",
    "A",
    " ",
    "Å é",
    ':"x"',
    ":{x}",
    ":x",
    "%s",
    "a\\b",
    '""; drop table t; --',
]
names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def memory() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    yield connection
    connection.close()


@given(name=names.filter(lambda name: not name.lower().startswith("sqlite_")))
def test_a_quoted_name_is_one_name_to_a_database(memory: sqlite3.Connection, name: str) -> None:
    assert memory.execute(f"select 1 as {quote(name)}").description[0][0] == name


@given(text=names)
def test_a_quoted_constant_is_its_text_to_a_database(memory: sqlite3.Connection, text: str) -> None:
    assert memory.execute(f"select {literal(text)}").fetchone()[0] == text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_fills_a_hole_and_breaks_nothing(memory: sqlite3.Connection, name: str) -> None:
    memory.execute(fill('create table :"table" (:{columns})', {"table": name, "columns": columns([name, "other"])}))
    assert [row[1] for row in memory.execute(f"pragma table_info({quote(name)})")] == [name, "other"]
    memory.execute(fill('drop table :"table"', {"table": name}))


def test_a_path_is_quoted_part_by_part() -> None:
    assert quote("my schema", 'a"b') == '"my schema"."a""b"'
    assert quote(None, "t") == '"t"'


def test_a_list_of_columns_carries_its_prefix() -> None:
    assert columns(["a", 'b"'], "new.") == 'new."a", new."b"""'
    assert columns([]) == ""


def test_an_unknown_hole_is_refused() -> None:
    with pytest.raises(LookupError, match="table"):
        fill('select * from :"table"', {})
    with pytest.raises(LookupError, match="list"):
        fill("select :{list}", {})


def test_an_unused_value_is_refused() -> None:
    with pytest.raises(LookupError, match="no hole named 'extra'"):
        fill("select 1", {"extra": "x"})


def test_binds_and_casts_are_left_alone() -> None:
    text = "select :name, cast(x as text), y::text, ':\"'"
    assert fill(text, {}) == text


@given(names, names)
def test_what_fills_a_hole_is_not_filled_again(first: str, second: str) -> None:
    filled = fill(":{a} :{b}", {"a": f':{{b}} :"b" {first}', "b": second})
    assert filled == f':{{b}} :"b" {first} {second}'


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_files_are_found_by_database_and_name(database: str) -> None:
    assert "cdc_sync" in read(database, "install")
    with pytest.raises(FileNotFoundError):
        read(database, "no_such_file")
