"""A row that a target cannot hold is named by its place among the rows that were to be staged, never by its values."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cdc_sync import databases
from cdc_sync.core import wire
from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import Mode, Session, Target
from cdc_sync.databases.postgresql_staging import Lines, refusal
from cdc_sync.errors import RefusedRow
from tests.conftest import Make

COLUMNS = (Staged("v0", Kind.TEXT, "code"), Staged("v1", Kind.OTHER, "value"))


def targets(declared: str, kind: Kind) -> list[Target]:
    return [
        Target(table="reading", column="code", declared="text", kind=Kind.TEXT),
        Target(table="reading", column="value", declared=declared, kind=kind),
    ]


INTEGERS = Lines(columns=COLUMNS, targets=targets("integer", Kind.INTEGER), data=b"", encoding="UTF8")


@contextmanager
def staging(make_side: Make, kind: str, declared: str) -> Iterator[Session]:
    side = make_side(kind, "target")
    if kind == "sqlite":
        side.run("create table reading (code text)")
    with databases.connect(side.url) as database, database.begin(Mode.WRITE) as session:
        database.create_staging(session, "cdc_sync_9_staging", [("v0", "text"), ("v1", declared)])
        yield session


def refused(session: Session, declared: str, kind: Kind, part: PartRows) -> RefusedRow:
    with pytest.raises(RefusedRow) as caught, session.attempt():
        columns = (COLUMNS[0], Staged("v1", kind, "value"))
        session.database.fill_staging(session, "cdc_sync_9_staging", columns, targets(declared, kind), part)
    error = caught.value
    assert not error.temporary
    assert "secret" not in f"{error} {error.hint}"
    return error


BY_THE_SERVER = {
    "integer": (Kind.INTEGER, b"secret", "22P02", "it is no integer"),
    "smallint": (Kind.INTEGER, b"40000", "22003", "out of the range of its type smallint"),
    "varchar(5)": (Kind.TEXT, b"secret", "22001", "longer than its type varchar(5)"),
    "date": (Kind.DATE, b"2026-02-30", "22008", "it is no date"),
    "json": (Kind.JSON, b'{"secret":\\n x}', "22P02", "it is no json"),
    "jsonb": (Kind.JSON, b'"secret \\\\u0000"', "22P05", "a character that the server cannot store"),
    "regclass": (Kind.OTHER, b"secret", "42P01", "it is no regclass"),
    "int4range": (Kind.OTHER, b"[5,1)", "22000", "it is no int4range"),
}


@pytest.mark.parametrize("declared", BY_THE_SERVER)
def test_what_the_server_refuses_names_row_column_and_type(make_side: Make, declared: str) -> None:
    kind, value, code, words = BY_THE_SERVER[declared]
    data = b"a\t\\N\nb\t\\N\nc\t" + value + b"\nd\t\\N\n"
    with staging(make_side, "postgresql", declared) as session:
        error = refused(session, declared, kind, PartRows(encoding="copy", data=data))
    assert (error.row, error.code) == (2, code)
    assert "column 'value' of table 'reading'" in str(error)
    assert words in str(error)


def test_bytes_that_are_no_text_name_their_row(make_side: Make) -> None:
    data = b"a\tfine\n" * 50_000 + b"b\tsecret\xff\n"
    with staging(make_side, "postgresql", "text") as session:
        error = refused(session, "text", Kind.TEXT, PartRows(encoding="copy", data=data))
    assert error.row == 50_000
    assert "column 'value' of table 'reading'" in str(error)


def test_what_cannot_be_converted_for_postgresql_names_its_row(make_side: Make) -> None:
    rows = wire.pack_rows([["a", "fine"], ["b", "fine"], ["c", "secret\0"]])
    with staging(make_side, "postgresql", "text") as session:
        error = refused(session, "text", Kind.TEXT, PartRows(encoding="rows", data=rows))
    assert (error.row, "'value'" in str(error), "NUL" in str(error)) == (2, True, True)


def test_what_cannot_be_converted_for_sqlite_names_its_row(make_side: Make) -> None:
    columns = (COLUMNS[0], Staged("v1", Kind.FLOAT, "value"))
    part = PartRows(encoding="copy", data=b"a\t1.5\nb\tNaN\n")
    with staging(make_side, "sqlite", "real") as session, pytest.raises(RefusedRow) as caught, session.attempt():
        session.database.fill_staging(session, "cdc_sync_9_staging", columns, targets("real", Kind.FLOAT), part)
    assert (caught.value.row, "'value'" in str(caught.value)) == (1, True)


@pytest.mark.parametrize(
    "place",
    [', line 12, column v1: "v0"', ", Zeile 12, Spalte v1: »v0«", '、行 12、列 v1: "v0"', ", ligne 12, colonne v1 : x"],
)
def test_a_server_may_speak_any_language(place: str) -> None:
    found = refusal("22P02", place, INTEGERS)
    assert found is not None
    assert (found.error.row, found.column, "'value'" in str(found.error)) == (11, 1, True)


def test_a_character_that_the_servers_encoding_lacks_names_its_column() -> None:
    data = "a\tfine\nb\tsecret €\n".encode()
    lines = Lines(columns=COLUMNS, targets=targets("text", Kind.TEXT), data=data, encoding="LATIN1")
    found = refusal("22P05", ", line 2", lines)
    assert found is not None
    assert (found.error.row, found.column, "secret" in str(found.error)) == (1, 1, False)
    assert "a character that the server cannot store" in str(found.error)


def test_lines_that_are_no_copy_text_are_nobodys_row() -> None:
    assert refusal("22P04", ', line 2: "a"', INTEGERS) is None


def test_rows_that_are_refused_before_they_reach_the_server_are_told_together(make_side: Make) -> None:
    rows = wire.pack_rows([["a", "fine"], ["b", "secret\0"], ["c", "fine"], ["d", b"secret"]])
    with staging(make_side, "postgresql", "text") as session:
        error = refused(session, "text", Kind.TEXT, PartRows(encoding="rows", data=rows))
    assert (error.row, [other.row for other in error.others]) == (1, [3])


def test_rows_that_the_server_cannot_read_are_told_together(make_side: Make) -> None:
    data = b"a\t2026-02-28\nb\t2026-02-30\nc\t\\N\nd\t2026-13-01\n"
    with staging(make_side, "postgresql", "date") as session:
        if session.connection.exec_driver_sql("show server_version_num").scalar_one() < "160000":
            pytest.skip("this server does not say which texts it takes")
        error = refused(session, "date", Kind.DATE, PartRows(encoding="copy", data=data))
    assert (error.row, [other.row for other in error.others]) == (1, [3])
    assert "it is no date" in str(error.others[0])


def test_rows_that_would_be_rounded_are_told_together(make_side: Make) -> None:
    data = b"a\t1.5\nb\t1.555\nc\t100\nd\t\\N\n"
    with staging(make_side, "postgresql", "numeric(4,2)") as session:
        error = refused(session, "numeric(4,2)", Kind.NUMERIC, PartRows(encoding="copy", data=data))
    assert (error.row, [other.row for other in error.others]) == (1, [2])


def test_rows_that_sqlite_would_change_are_told_together(make_side: Make) -> None:
    part = PartRows(encoding="copy", data=b"a\tNaN\nb\t1.5\nc\tNaN\n")
    columns = (COLUMNS[0], Staged("v1", Kind.FLOAT, "value"))
    with staging(make_side, "sqlite", "real") as session, pytest.raises(RefusedRow) as caught, session.attempt():
        session.database.fill_staging(session, "cdc_sync_9_staging", columns, targets("real", Kind.FLOAT), part)
    assert (caught.value.row, [other.row for other in caught.value.others]) == (0, [2])
