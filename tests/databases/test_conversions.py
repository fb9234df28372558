"""What arrives of every kind of value in every kind of column, or the words of its refusal: no silent change.

Each case goes the whole way: staged, written to a real table, and read there as text.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from cdc_sync import databases
from cdc_sync.core import wire
from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import Mode, Session, Target
from cdc_sync.errors import DatabaseError, RefusedRow
from tests.conftest import Make


class No(str):
    """What is refused, with these words among others."""


SETUP = """create type mood as enum ('so so', 'glad'); create domain percent as numeric(5,2);
create domain price as numeric(4,1) check (value > 0);"""
NUL = No("NUL")
BLOB = No("a BLOB")
NUMBER = No("a number in a column of kind")
WHOLE = No("no plain whole number")
DECIMAL = No("no plain decimal number")
DATE = No("no date written as")
MOMENT = No("no time written as")
OTHERWISE = No("not written as its type")
DIGITS = No("digits")

LITE_TO_SERVER: Mapping[str, Iterable[tuple[object, str]]] = {
    "boolean": [
        (0, "false"),
        (1, "true"),
        ("true", "true"),
        ("f", "false"),
        *((value, No("other than 0 and 1")) for value in (2, -1, 4711)),
        *((value, No("neither true nor false")) for value in ("yes", "on", "TRUE", " t", "", "2")),
        (1.0, NUMBER),
        (0.5, NUMBER),
        (b"t", BLOB),
    ],
    "smallint": [(32767, "32767"), (-32768, "-32768"), (32768, No("out of the range")), (2.0, "2")],
    "integer": [
        (2**31 - 1, "2147483647"),
        (2**31, No("out of the range of its type integer")),
        (1.0, "1"),
        (1.5, No("fraction")),
        (math.inf, No("fraction")),
        (1e300, No("out of the range")),
        ("42", "42"),
        ("-7", "-7"),
        *(
            (value, WHOLE)
            for value in ("1_000", "0x10", "0b1", "007", "+1", " 1", "1 ", "1.0", "1e3", "-0", "", "x", "\uff11")
        ),
        (b"1", BLOB),
    ],
    "bigint": [(2**63 - 1, str(2**63 - 1)), (-(2**63), str(-(2**63))), (2.0**63, No("out of the range"))],
    "oid": [(5, "5"), (-1, No("below 0")), ("-1", No("below 0")), ("0x10", No("below 0"))],
    "double precision": [
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"),
        (-0.0, "-0"),
        (math.inf, "Infinity"),
        (2**53, "9.007199254740992e+15"),
        (2**53 + 1, No("no double holds")),
        ("1.50", "1.5"),
        ("1e3", "1000"),
        ("NaN", "NaN"),
        ("0.1000000000000000055511151231257827", DIGITS),
        *(
            (value, DIGITS)
            for value in ("1e400", "1e999999999999", "1e-999999999999999999999", "-1e999999999999999999999")
        ),
        *((value, No("no plain number")) for value in ("0x1p3", "inf", "1_0", " 1", "1.", ".5", "")),
        (b"1", BLOB),
    ],
    "real": [
        (0.1, "0.1"),
        (1 / 3, DIGITS),
        (16777217, DIGITS),
        (3.4028235e38, "3.4028235e+38"),
        (1e39, DIGITS),
        (3e10, DIGITS),
    ],
    "numeric": [
        (1, "1"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (math.inf, "Infinity"),
        ("1.10", "1.10"),
        ("-0.000000000000000000000000000001", "-0.000000000000000000000000000001"),
        ("NaN", "NaN"),
        *((value, DECIMAL) for value in ("1e3", "1_000", "0x10", " 1", "+1", ".5", "5.", "inf", "007", "", "x")),
        (b"1", BLOB),
    ],
    "numeric(4,2)": [
        (1.25, "1.25"),
        ("1.1", "1.10"),
        ("1.100", "1.10"),
        (99.99, "99.99"),
        (1.255, No("out of the range of its type numeric(4,2), or with more digits")),
        ("1.001", No("more digits")),
        (100, No("out of the range")),
        (math.inf, No("out of the range")),
        ("NaN", "NaN"),
    ],
    "numeric(3,-2)": [(12300, "12300"), (12345, No("more digits")), (100000, No("out of the range"))],
    "numeric(5,2)[]": [("{1.10,NULL}", "{1.10,NULL}"), ("{1.111}", OTHERWISE)],
    "percent": [(12.25, "12.25"), (12.255, No("more digits"))],
    "money": [
        (1, "$1.00"),
        (-1234.5, "-$1,234.50"),
        ("$1,234.56", "$1,234.56"),
        ("-1.10", "-$1.10"),
        *((value, No("two decimals")) for value in (1.105, "1.105", "1,2,3", "(1.00)", "", math.inf)),
    ],
    "text": [
        ("tab\t nl\n \\N e\u0301", "tab\t nl\n \\N e\u0301"),
        ("", ""),
        (5, "5"),
        (0.1 + 0.2, "0.30000000000000004"),
        ("a\0b", NUL),
        (b"a", BLOB),
        (wire.NotUtf8(b"\xff"), No("not UTF-8")),
    ],
    "varchar(3)": [("abc", "abc"), ("ééé", "ééé"), ("abcd", No("longer")), ("abc ", No("longer")), ("a\0", NUL)],
    "char(3)": [("ab", "ab"), ("abc", "abc"), ("ab ", "ab"), ("a ", No("blanks")), ("abcd", No("longer"))],
    "bytea": [(b"\0a", "\\x0061"), ("a", No("text in a column of kind bytes")), (5, NUMBER), (1.5, NUMBER)],
    "date": [
        ("2024-02-29", "2024-02-29"),
        ("2024-02-29 00:00:00", "2024-02-29"),
        ("10000-01-01", "10000-01-01"),
        ("0044-03-15 BC", "0044-03-15 BC"),
        ("infinity", "infinity"),
        *((value, No("it is no date")) for value in ("2026-02-30", "2023-02-29", "2026-13-01", "0000-01-01")),
        *(
            (value, DATE)
            for value in (
                "now",
                "today",
                "yesterday",
                "epoch",
                "01/02/2026",
                "2026-1-2",
                "02026-01-02",
                "Jan 2 2026",
                "20260102",
            )
        ),
        *((value, DATE) for value in ("2026-01-02 10:00", "2026-01-02T10:00:00Z", "J2451187", " 2026-01-02", "", "x")),
        *((value, NUMBER) for value in (20260102, 2460000.5, 1767225600)),
        (b"2026", BLOB),
    ],
    "timestamp": [
        ("2026-01-01T10:00:00", "2026-01-01 10:00:00"),
        ("2026-01-01 10:00", "2026-01-01 10:00:00"),
        ("2026-01-01", "2026-01-01 00:00:00"),
        ("2026-01-01 10:00:00.123456", "2026-01-01 10:00:00.123456"),
        ("2026-01-01 10:00:00.123456000", "2026-01-01 10:00:00.123456"),
        ("2026-01-01T10:00:00Z", "2026-01-01 10:00:00"),
        ("2026-01-01 10:00:00+00:00", "2026-01-01 10:00:00"),
        ("-infinity", "-infinity"),
        ("2026-02-30 10:00:00", No("it is no timestamp")),
        *((value, MOMENT) for value in ("2026-01-01 10:00:00.1234567", "2026-01-01 10:00:00+05:30", "now", "epoch")),
        *((value, MOMENT) for value in ("2026-01-01 24:00:00", "2026-01-01 10:00:60", "2026-01-01 10:00 PM")),
        *((value, MOMENT) for value in ("2026-01-01 10:00 America/New_York", "20260101T100000", "01/02/2026 10:00")),
        *((value, NUMBER) for value in (1767225600, 2460000.5)),
    ],
    "timestamp(0)": [("2026-01-01 10:00:00", "2026-01-01 10:00:00"), ("2026-01-01 10:00:00.5", No("more digits"))],
    "timestamptz": [
        ("2026-01-01T10:00:00Z", "2026-01-01 10:00:00+00"),
        ("2026-01-01 10:00:00+05:30", "2026-01-01 04:30:00+00"),
        ("2026-01-01 10:00:00-0530", "2026-01-01 15:30:00+00"),
        ("2026-01-01 10:00:00", "2026-01-01 10:00:00+00"),
        ("infinity", "infinity"),
        *((value, MOMENT) for value in ("2026-01-01T10:00:00.123456789Z", "2026-01-01 10:00 EST", "now", "tomorrow")),
        (1767225600, NUMBER),
    ],
    "time": [
        ("10:00", "10:00:00"),
        ("24:00:00", "24:00:00"),
        ("23:59:59.999999", "23:59:59.999999"),
        *((value, MOMENT) for value in ("23:59:59.9999999", "23:59:60", "now", "allballs", "10:00 PM", "100000")),
        *((value, MOMENT) for value in ("10:00:00+05", "2026-01-01 10:00:00")),
        (36000, NUMBER),
    ],
    "timetz": [("10:00:00+05:30", "10:00:00+05:30"), ("10:00", "10:00:00+00"), ("now", MOMENT)],
    "uuid": [
        *(
            (value, "ffffffff-ffff-4fff-bfff-ffffffffffff")
            for value in (
                "ffffffff-ffff-4fff-bfff-ffffffffffff",
                "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF",
                "ffffffffffff4fffbfffffffffffffff",
                "{ffffffff-ffff-4fff-bfff-ffffffffffff}",
                bytes.fromhex("ffffffffffff4fffbfffffffffffffff"),
            )
        ),
        *((value, No("no uuid")) for value in ("x", "", "ffff-ffff-ffff-4fff-bfff-ffff-ffff-ffff")),
        (b"\xff", BLOB),
        (5, NUMBER),
    ],
    "json": [
        (' {"a":1,  "a":2.50} ', ' {"a":1,  "a":2.50} '),
        (5, "5"),
        (1.5, "1.5"),
        (math.inf, No("infinite")),
        ("{", No("it is no json")),
        ("", No("it is no json")),
        ("NaN", No("it is no json")),
        (b"{}", BLOB),
    ],
    "jsonb": [
        ('{"b":1,"a":1.10}', '{"a": 1.10, "b": 1}'),
        ('[{"a":1},{"a":2}]', '[{"a": 1}, {"a": 2}]'),
        ('{"a":1,"a":2}', No("one name twice")),
        ('{"x":{"a":1,"\\u0061":2}}', No("one name twice")),
        ('"\\u0000"', No("a character that the server cannot store")),
        ("{", No("it is no jsonb")),
    ],
    "mood": [("so so", "so so"), *((v, No("it is no mood")) for v in ("sad", "", "GLAD", 5, 1.5)), (b"glad", BLOB)],
    "integer[]": [
        ("{1,2,NULL}", "{1,2,NULL}"),
        ("[0:1]={1,2}", "[0:1]={1,2}"),
        ("{1_0}", No("cannot hold")),
        ("{ 1 , 2 }", OTHERWISE),
        *((value, No("it is no integer[]")) for value in ("[1,2]", "{1,2", "1", "{x}")),
    ],
    "text[]": [('{"a b",NULL,"NULL"}', '{"a b",NULL,"NULL"}'), ("{ a , b }", OTHERWISE)],
    "date[]": [("{2026-01-01}", "{2026-01-01}"), ("{now}", OTHERWISE), ("{01/02/2026}", OTHERWISE)],
    "interval": [
        ("1 day 02:00:00", "1 day 02:00:00"),
        *((value, OTHERWISE) for value in (5, "1:2:3.1234567", "0.0000001 s", "P1D", 93600000000)),
        ("x", No("it is no interval")),
    ],
    "interval year": [("1 year", "1 year"), ("1 year 2 mons", OTHERWISE)],
    "inet": [("10.0.0.1", "10.0.0.1/32"), ("10/8", OTHERWISE), ("x", No("it is no inet"))],
    "bit(3)": [("101", "101"), (101, "101"), ("10", OTHERWISE), ("B101", OTHERWISE)],
    '"char"': [("a", "a"), ("abc", OTHERWISE)],
    "int4range": [("[1,5)", "[1,5)"), ("[1,5]", OTHERWISE)],
    "tsvector": [("'a' 'b'", "'a' 'b'"), ("b a", OTHERWISE)],
}
"""SQLite's value, and PostgreSQL's text of what arrives."""

SERVER_TO_LITE: Mapping[tuple[str, str], Iterable[tuple[str, object]]] = {
    ("boolean", "boolean"): [("t", 1), ("f", 0)],
    ("boolean", "text"): [("t", "t")],
    ("bigint", "bigint"): [("9223372036854775807", 2**63 - 1), ("0", 0)],
    ("bigint", "text"): [("5", "5")],
    ("bigint", "real"): [("5", 5.0), ("9007199254740993", No("no double holds"))],
    ("bigint", "date"): [("20260102", No("a integer in a column of kind date"))],
    ("float8", "double precision"): [("0.30000000000000004", 0.1 + 0.2), ("-Infinity", -math.inf), ("NaN", No("NaN"))],
    ("float8", "text"): [("NaN", "NaN"), ("1e+20", "1e+20")],
    ("float8", "integer"): [("1.5", 1.5), ("2", 2)],
    ("float4", "real"): [("0.1", 0.1)],
    ("numeric", "decimal(10,2)"): [
        ("1.10", 1.1),
        ("5.00", 5),
        ("Infinity", math.inf),
        ("NaN", No("NaN")),
        ("1234567890.1234567890123", DIGITS),
        ("9223372036854775808.5", DIGITS),
    ],
    ("numeric", "text"): [("1.10", "1.10"), ("NaN", "NaN"), ("1234567890.1234567890123", "1234567890.1234567890123")],
    ("numeric", "real"): [("2", 2.0), ("9007199254740993", No("no double holds"))],
    ("money", "money"): [("$1,234.50", "$1,234.50")],
    ("text", "text"): [("007", "007"), ("1e3", "1e3"), ("a\\tb\\\\", "a\tb\\"), ("", "")],
    ("text", "varchar(3)"): [("longer", "longer")],
    ("text", "integer"): [("42", 42), ("x", "x"), ("1_0", "1_0"), *((v, No("changed")) for v in ("007", "1e3", "1.0"))],
    ("text", "numeric"): [
        ("1.5", 1.5),
        ("inf", "inf"),
        *((v, No("changed")) for v in ("1.50", " 1", "+1", "-0", "1.")),
    ],
    ("text", "real"): [("1.5", 1.5), ("x", "x"), ("42", No("changed"))],
    ("text", ""): [("007", "007")],
    ("char(5)", "char(5)"): [("ab   ", "ab   ")],
    ("bytea", "blob"): [("\\\\x00ff", b"\0\xff"), ("\\\\x", b"")],
    ("bytea", "text"): [("\\\\x61", b"a")],
    ("bytea", "integer"): [("\\\\x61", No("bytes in a column of kind integer"))],
    ("date", "date"): [(v, v) for v in ("2024-02-29", "infinity", "0044-03-15 BC", "10000-01-01")],
    ("timestamp", "timestamp"): [("2026-01-01 10:00:00.5", "2026-01-01 10:00:00.5"), ("infinity", "infinity")],
    ("timestamptz", "timestamp with time zone"): [("2026-01-01 10:00:00+00", "2026-01-01 10:00:00+00:00")],
    ("timestamptz", "datetime"): [("2026-01-01 10:00:00+00", "2026-01-01 10:00:00"), ("infinity", "infinity")],
    ("timestamptz", "text"): [("2026-01-01 10:00:00+00", "2026-01-01 10:00:00+00")],
    ("time", "time"): [("24:00:00", "24:00:00"), ("23:59:59.999999", "23:59:59.999999")],
    ("timetz", "time"): [("10:00:00+05", "10:00:00+05:00"), ("10:00:00-05:30", "10:00:00-05:30")],
    ("uuid", "uuid"): [("ffffffff-ffff-4fff-bfff-ffffffffffff", "ffffffff-ffff-4fff-bfff-ffffffffffff")],
    ("uuid", "char(32)"): [("ffffffff-ffff-4fff-bfff-ffffffffffff", "ffffffffffff4fffbfffffffffffffff")],
    ("uuid", "blob"): [("ffffffff-ffff-4fff-bfff-ffffffffffff", bytes.fromhex("ffffffffffff4fffbfffffffffffffff"))],
    ("json", "json"): [(' {"a":1,  "a":2}', ' {"a":1,  "a":2}'), ("5", 5), ("1.50", No("changed")), ("null", "null")],
    ("json", "text"): [("1.50", "1.50")],
    ("mood", "text"): [("so so", "so so")],
    ("integer[]", "text"): [("{1,NULL}", "{1,NULL}")],
    ("interval", "interval"): [("1 day 02:00:00", "1 day 02:00:00")],
    ("bit(3)", "bit(3)"): [("101", 101), ("001", No("changed"))],
}
"""By the two declared types: PostgreSQL's COPY text, and SQLite's value of what arrives."""

LITE_TO_LITE: Mapping[tuple[str, str], Iterable[tuple[object, object]]] = {
    ("text", "text"): [("007", "007"), (b"a", b"a")],
    ("text", "integer"): [("42", 42), ("007", No("changed")), ("1e3", No("changed")), (b"7", b"7")],
    ("text", "real"): [("42", No("changed")), ("1.5", 1.5)],
    ("integer", "text"): [(42, "42"), (0.1, "0.1"), (0.1 + 0.2, No("more than 15 digits"))],
    ("integer", "real"): [(2**53 + 1, No("no double holds")), (5, 5.0)],
    ("date", "date"): [(20260102, 20260102), (2460000.5, 2460000.5), ("2026-01-02", "2026-01-02")],
    ("", "integer"): [("1.0", No("changed")), (1.5, 1.5)],
    ("integer", ""): [(5, 5), (1.5, 1.5)],
}

SERVER_TO_SERVER: Mapping[tuple[str, str], Iterable[tuple[str, str]]] = {
    ("numeric(12,4)", "numeric(10,2)"): [("1.1000", "1.10"), ("1.1250", No("more digits")), ("1e9", No("range"))],
    ("numeric", "double precision"): [("1.10", "1.1"), ("0.1000000000000000055511151231257827", DIGITS)],
    ("numeric", "real"): [("0.1", "0.1"), ("0.123456789", DIGITS)],
    ("float8", "real"): [("0.1", "0.1"), ("0.30000000000000004", DIGITS), ("NaN", "NaN"), ("-0", "-0")],
    ("float8", "numeric"): [("1e+20", "100000000000000000000")],
    ("bigint", "boolean"): [("1", "true"), ("2", No("neither"))],
    ("bigint", "integer"): [("2147483648", No("out of the range"))],
    ("text", "integer"): [("42", "42"), ("1_000", WHOLE), ("0x10", WHOLE)],
    ("text", "date"): [("2024-02-29", "2024-02-29"), ("now", DATE), ("01/02/2026", DATE)],
    ("text", "interval"): [("1 day", "1 day"), ("5", OTHERWISE)],
    ("text", "varchar(3)"): [("abc", "abc"), ("ab", "ab"), ("abc ", No("longer")), ("abcd", No("longer"))],
    ("text", "bytea"): [("a", No("text in a column of kind bytes"))],
    ("bytea", "text"): [("\\\\x61", No("bytes"))],
    ("timestamp", "date"): [("2026-01-02 00:00:00", "2026-01-02"), ("2026-01-02 10:00:00", DATE)],
    ("timestamp", "timestamptz"): [("2026-01-02 10:00:00", "2026-01-02 10:00:00+00")],
    ("timestamptz", "timestamp"): [("2026-01-02 10:00:00+00", "2026-01-02 10:00:00")],
    ("timestamp", "timestamp(3)"): [
        ("2026-01-02 10:00:00.123", "2026-01-02 10:00:00.123"),
        ("2026-01-02 10:00:00.1234", DIGITS),
    ],
    ("timetz", "time"): [("10:00:00+05:30", MOMENT)],
    ("integer[]", "integer[]"): [("{1,2}", "{1,2}")],
    ("numeric[]", "numeric(5,2)[]"): [("{1.10,NULL}", "{1.10,NULL}"), ("{1.111}", DIGITS)],
    ("interval", "interval(0)"): [("1 day", "1 day"), ("00:00:00.5", DIGITS)],
}


class Table:
    """A table with one column, and its staging table."""

    def __init__(self, session: Session, declared: str) -> None:
        self.session = session
        session.script(
            f"create table sample (k {'integer' if session.database.kind == 'sqlite' else 'int'}, v {declared})"
        )
        (table,) = session.database.describe(session, ["sample"]).values()
        column = table.column("v")
        assert column is not None
        self.kind, self.declared = column.kind, column.declared

    def arrives(self, kind: Kind, part: PartRows) -> Any:
        """What a value of this kind at its source becomes; the words of a refusal."""
        columns = [Staged("seq", Kind.INTEGER), Staged("v0", kind, "v")]
        targets = [
            Target(table="sample", column="", declared="text", kind=Kind.TEXT),
            Target(table="sample", column="v", declared=self.declared, kind=self.kind),
        ]
        connection = self.session.connection.begin_nested()
        try:
            self.session.database.create_staging(self.session, "staged", [("seq", "bigint"), ("v0", self.declared)])
            self.session.database.fill_staging(self.session, "staged", columns, targets, part)
            self.session.script("insert into sample (v) select v0 from staged where seq = 7")
            read = "v" if self.session.database.kind == "sqlite" else "v::text"
            return self.session.connection.exec_driver_sql(f"select {read} from sample").scalar_one()
        except RefusedRow as error:
            assert error.row == 1
            assert "column 'v' of table 'sample'" in str(error)
            assert not error.temporary
            return No(error)
        finally:
            connection.rollback()


def differs(found: Any, expected: object, value: object) -> bool:
    if isinstance(expected, No):
        told = isinstance(value, str) and len(value) > 4 and value in str(found)
        return not isinstance(found, No) or expected not in found or told
    return (type(found), found) != (type(expected), expected)


def lite_rows(value: object) -> PartRows:
    return PartRows(encoding="rows", data=wire.pack_rows([[6, None], [7, value], [8, None]]))


def server_lines(value: str) -> PartRows:
    return PartRows(encoding="copy", data=f"6\t\\N\n7\t{value}\n8\t\\N\n".encode())


def kinds_of(session: Session, declared: Iterable[str]) -> dict[str, Kind]:
    """What a source says of columns of these types."""
    names = list(dict.fromkeys(declared))
    session.script(f"create table kinds ({', '.join(f'c{i} {name}' for i, name in enumerate(names))})")
    (table,) = session.database.describe(session, ["kinds"]).values()
    return {name: column.kind for name, column in zip(names, table.columns, strict=True)}


@contextmanager
def session_on(make_side: Make, kind: str, name: str) -> Iterator[Session]:
    side = make_side(kind, name)
    side.script(SETUP if kind == "postgresql" else "")
    with databases.connect(side.url) as database, database.begin(Mode.WRITE) as session:
        yield session


WAYS = {
    "sqlite-postgresql": {("", declared): values for declared, values in LITE_TO_SERVER.items()},
    "postgresql-sqlite": SERVER_TO_LITE,
    "sqlite-sqlite": LITE_TO_LITE,
    "postgresql-postgresql": SERVER_TO_SERVER,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_value_arrives_as_it_is_or_is_refused_by_its_kind(make_side: Make, way: str) -> None:
    (here, there), pairs = way.split("-"), WAYS[way]
    part: Callable[[Any], PartRows] = server_lines if here == "postgresql" else lite_rows
    with session_on(make_side, here, "source") as source:
        kinds = kinds_of(source, (declared for declared, _ in pairs))
    wrong = []
    with session_on(make_side, there, "target") as session:
        for (source_type, declared), values in pairs.items():
            table = Table(session, declared)
            for value, expected in values:
                found = table.arrives(kinds[source_type], part(value))
                if differs(found, expected, value):
                    wrong.append(f"{value!r} from {source_type} into {declared}: {found!r}, not {expected!r}")
            session.script("drop table sample")
    assert not wrong


def test_what_a_check_refuses_is_no_silent_change(make_side: Make) -> None:
    with session_on(make_side, "postgresql", "target") as session:
        table = Table(session, "price")
        with pytest.raises(DatabaseError, match="CheckViolation"):
            table.arrives(Kind.NUMERIC, lite_rows(-1.5))
