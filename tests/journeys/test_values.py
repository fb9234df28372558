"""Every value arrives as it was written, to the last bit; what the target cannot hold is refused, never changed."""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.nodes import Row, Side, install, received, replicate, status, write_config

Pair = tuple[Side, Side]
Replicate = Callable[[], object]

# --- SQLite to SQLite

AFFINITIES = ("integer", "real", "text", "blob", "numeric", "boolean", "date", "decimal(10,2)", "varchar(5)", "")
STORED = (
    None,
    *(0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)),
    *(0.1 + 0.2, 0.1, 1.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, -0.0, 1e15, 1e16, 2.0**63),
    *(math.inf, -math.inf, math.pi, 123456789.123456789),
    *("", " ", "1", "1.0", "1e3", "0x10", "9223372036854775808", "12345678901234567890.12", "2024-02-29", "true"),
    *("nul\0inside", "\0", "tab\tnew\nline\r\\ ' \" \\N", "😀 astral 𐍈", "e\u0301 é", "\ufeff\uffff", "x" * 70_000),
    *(b"", b"\0", bytes(range(256)), b"text", b"\xff\xfe", bytes(70_000)),
)


@pytest.fixture
def lites(make_side: Make, tmp_path: Path) -> tuple[Side, Side, Replicate]:
    """Two SQLite databases with a column of every affinity, and what replicates from the first to the second."""
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    columns = ", ".join(f"c{i} {declared}" for i, declared in enumerate(AFFINITIES))
    for side in (source, target):
        side.script(f"create table sample (id {{pk}}, code text not null unique, {columns});")
    config = write_config(tmp_path, "laptop", source, target, {"sample": ["code"]})
    install(config)
    return source, target, lambda: replicate(config)


def _write(side: Side, values: Iterable[object]) -> None:
    """A row for each value, in every column."""
    marks = ", ".join("?" * (len(AFFINITIES) + 1))
    names = ", ".join(f"c{i}" for i in range(len(AFFINITIES)))
    rows = [(str(i), *[value] * len(AFFINITIES)) for i, value in enumerate(values)]
    side.many(f"insert into sample (code, {names}) values ({marks})", rows)


def _rewrite(side: Side, values: Iterable[object]) -> None:
    sets = ", ".join(f"c{i} = ?" for i in range(len(AFFINITIES)))
    rows = [(*[value] * len(AFFINITIES), str(i)) for i, value in enumerate(values)]
    side.many(f"update sample set {sets} where code = ?", rows)


def _bits(side: Side) -> list[Row]:
    """Storage class and bits of every value. Text is read as bytes: a NUL ends nothing, and it need not be UTF-8."""
    read = "typeof({0}), case typeof({0}) when 'text' then cast({0} as blob) else {0} end"
    columns = ", ".join(read.format(f"c{i}") for i in range(len(AFFINITIES)))
    rows = side.rows(f"select code, {columns} from sample order by code")
    return [tuple(struct.pack(">d", v) if isinstance(v, float) else v for v in row) for row in rows]


def _same_bits(source: Side, target: Side) -> None:
    here, there = _bits(source), _bits(target)
    assert len(there) == len(here)
    for mine, theirs in zip(here, there, strict=True):
        assert theirs == mine


def test_sqlite_values_of_every_storage_class_in_every_column_arrive_as_inserts(
    lites: tuple[Side, Side, Replicate],
) -> None:
    source, target, send = lites
    _write(source, STORED)
    send()
    _same_bits(source, target)


def test_sqlite_values_of_every_storage_class_in_every_column_arrive_as_updates(
    lites: tuple[Side, Side, Replicate],
) -> None:
    source, target, send = lites
    _write(source, STORED)
    send()
    _rewrite(source, reversed(STORED))
    send()
    _same_bits(source, target)
    assert {row[1] for row in _bits(target)} == {"null", "integer", "real", "text", "blob"}


def test_sqlite_text_that_is_not_utf8_arrives(lites: tuple[Side, Side, Replicate]) -> None:
    source, target, send = lites
    source.run("insert into sample (code, c2) values ('a', cast(x'61ff62' as text))")
    send()
    _same_bits(source, target)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, width=64), min_size=50, max_size=400))
def test_random_doubles_arrive_to_the_last_bit(lites: tuple[Side, Side, Replicate], doubles: list[float]) -> None:
    source, target, send = lites
    source.run("delete from sample")
    _write(source, doubles)
    send()
    _same_bits(source, target)


# --- PostgreSQL to PostgreSQL

TYPES: Mapping[str, Sequence[str]] = {
    "numeric": ("NaN", "Infinity", "-Infinity", "1.10", "1e-1000", "1234567890123456789012345678901234567890.5"),
    "numeric(10,2)": ("1.10", "-99999999.99", "0"),
    "float4": ("NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"),
    "float8": ("NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1", "0.30000000000000004"),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("9007199254740993", "9223372036854775807", "-9223372036854775808"),
    "boolean": ("t", "f"),
    "text": ("", " ", "tab\t new\n cr\r \\ \\N \\. \\x41 ' \"", "😀 𐍈", "é e\u0301", "\u0001\b\f\v", "NULL"),
    "char(5)": ("ab", "", "abcde"),
    "varchar(10)": ("ab ", " ", ""),
    '"char"': ("a", ""),
    "name": ("a name", ""),
    "bytea": ("\\x", "\\x00", "\\x" + bytes(range(256)).hex(), "\\x5c4e"),
    "date": ("infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "2024-02-29"),
    "timestamp": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
        "2024-02-29 1:2:3",
    ),
    "timestamptz": ("infinity", "1883-11-18 12:03:57+00", "2024-03-31 01:30:00+00", "2024-10-27 00:30:00.000001+00"),
    "time": ("24:00", "00:00", "23:59:59.999999"),
    "timetz": ("24:00+15:59", "12:34:56.789-00:44:30", "00:00:00+05:45"),
    "interval": (
        "infinity",
        "-infinity",
        "1 mon -2 days +03:00",
        "-1 year -2 mons",
        "0",
        "178000000 years",
        "-00:00:00.000001",
    ),
    "bit(3)": ("101", "000"),
    "varbit": ("", "1", "0101010101"),
    "money": ("-1234.56", "92233720368547758.07", "0"),
    "inet": ("192.168.0.1/24", "::ffff:1.2.3.4", "2001:db8::/32"),
    "cidr": ("192.168.0.0/24", "2001:db8::/32"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "uuid": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"),
    "json": ('{"a":1,  "a":2}', "1e400", "null", ' "text" ', "[]", '"\\u0041\\n"'),
    "jsonb": ("null", '{"b": 1, "a": [1.10, null]}', '"é"', "1e400"),
    "int4range": ("empty", "[1,5)", "(,)", "[3,)"),
    "numrange": ("[1.10,2.200]", "(,NaN)"),
    "daterange": ("[2024-01-01,infinity]", "(,2024-02-29)"),
    "tsrange": ('["2024-02-29 00:00:00",infinity)', "empty"),
    "tstzrange": ('["2024-02-29 00:00:00+00","2024-03-01 12:00:00+00")', "(,)"),
    "int4multirange": ("{}", "{[1,3),[5,)}"),
    "tstzmultirange": ('{["2024-02-29 00:00:00+00","2024-03-01 12:00:00+00")}',),
    "float8range": ("[0.1,0.30000000000000004)", "[5e-324,Infinity]"),
    "mood": ("so so", "it's", "", 'the "best"', "comma,"),
    "percent": ("0", "100"),
    "small_percent": ("9",),
    "pair": ("(,)", '(1,"a, ""b"" \\\\ (c)")', "(,'')"),
    "nested": ('("(1,x)","{""(2,y)"",NULL}",so so)', "(,,)"),
    "pair_domain": ('(5,"é")',),
    "point": ("(1,NaN)", "(-0,0.1)", "(Infinity,5e-324)"),
    "line": ("{1,-1,0.1}",),
    "lseg": ("[(0,0),(0.1,1)]",),
    "box": ("(1,1),(0,0)",),
    "path": ("[(0,0),(1,1)]", "((0,0),(1,1))"),
    "polygon": ("((0,0),(1,1),(1,0))",),
    "circle": ("<(0.1,0),0.3>",),
    "tsvector": ("'a':1A 'it''s':2B,3", ""),
    "tsquery": ("'a' & !'b':*C",),
    "pg_lsn": ("FFFFFFFF/FFFFFFFF", "0/0"),
    "xid8": ("18446744073709551615",),
    "oid": ("4294967295", "0"),
    "regclass": ("pg_catalog.pg_class",),
    "regtype": ("pg_catalog.int4",),
    "jsonpath": ('$."a"[*] ? (@ > 1)',),
    "pg_snapshot": ("10:20:10,14,15",),
    "integer[]": ("{}", "{NULL}", "{{1,2},{3,NULL}}", "[0:2]={1,2,3}", "[-1:0][5:6]={{1,2},{3,4}}"),
    "text[]": ('{"NULL",NULL,"",",","\\"","\\\\","{}"}',),
    "jsonb[]": ('{NULL,"null","{}"}',),
}
OWN_TYPES = """
create type float8range as range (subtype = float8, subtype_diff = float8mi);
create type mood as enum ('so so', 'it''s', '', 'the "best"', 'comma,');
create domain percent as integer check (value between 0 and 100);
create domain small_percent as percent check (value < 10);
create type pair as (number integer, label text);
create type nested as (one pair, more pair[], feeling mood);
create domain pair_domain as pair check ((value).number > 0);
"""
ADDED = {
    "hstore": {"hstore": ('a=>NULL, "b c"=>"d\\"e"', "")},
    "citext": {"citext": ("MiXed", "mixed")},
    "ltree": {"ltree": ("top.science.astronomy", "")},
    "vector": {"vector(3)": ("[1,0.1,-3e-38]",)},
    "xml": {"xml": ("<a b='c'>d</a>", "text")},
}
HOSTILE = """
create schema hostile;
create function hostile.current_setting(text, boolean) returns text language sql as $$ select 'on' $$;
create function hostile.nextval(text) returns bigint language sql as $$ select 1::bigint $$;
create domain hostile.mood as text;
create table hostile.sample (id integer);
set search_path = hostile, public, pg_catalog;
set datestyle = 'SQL, DMY';
set intervalstyle = 'sql_standard';
set timezone = 'Asia/Kathmandu';
set extra_float_digits = -5;
set bytea_output = 'escape';
set xmloption = 'content';
"""
PINNED = """
set datestyle = 'ISO'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set extra_float_digits = 1;
set bytea_output = 'hex'; set lc_monetary = 'C'; set search_path = public;
"""


class Samples:
    """A table with two columns for each type, one plain and one of arrays, and a row for each of the types' values."""

    def __init__(self, pair: Pair, types: Mapping[str, Sequence[str]]) -> None:
        self.source, self.target = pair
        self.columns = [(f"c{i}", declared, values) for i, (declared, values) in enumerate(types.items())]
        self.columns += [(f"a{i}", f"{t}[]", (_array(t, v),)) for i, (t, v) in enumerate(types.items()) if t[-1] != "]"]
        self.rows = max(len(values) for values in types.values())
        definitions = ", ".join(f"{name} {declared}" for name, declared, _ in self.columns)
        for side in pair:
            side.script(f"create table public.sample (id {{pk}}, code text not null unique, {definitions});")

    def insert(self) -> None:
        names = ", ".join(name for name, _, _ in self.columns)
        for row in range(self.rows):
            self.source.run(
                f"insert into public.sample (code, {names}) values ({', '.join(['?'] * (len(self.columns) + 1))})",
                (str(row), *self._values(row)),
            )

    def update(self, turn: int) -> None:
        """Give every row the values of a later one."""
        sets = ", ".join(f"{name} = ?" for name, _, _ in self.columns)
        for row in range(self.rows):
            self.source.run(f"update public.sample set {sets} where code = ?", (*self._values(row + turn), str(row)))

    def _values(self, row: int) -> list[str | None]:
        """Each type's values in turn, and then NULL."""
        return [dict(enumerate(values)).get(row % (self.rows + 1)) for _, _, values in self.columns]

    def check(self) -> None:
        here, there = (self._texts(side) for side in (self.source, self.target))
        for name, declared, _ in self.columns:
            assert there[name] == here[name], f"{declared} ({name})"

    def _texts(self, side: Side) -> dict[str, list[str | None]]:
        names = [name for name, _, _ in self.columns]
        chosen = ", ".join(f"{name}::text" for name in names)
        rows = _pinned(side, f"select {chosen} from public.sample order by code")
        assert len(rows) == self.rows
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _array(declared: str, values: Sequence[str]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    delimiter = ";" if declared == "box" else ","
    return "{" + delimiter.join([*quoted, "NULL"]) + "}"


def _pinned(side: Side, query: str) -> list[Row]:
    """The query's rows, read under settings that hide nothing."""
    with closing(side.connect()) as connection:
        connection.execute(PINNED)
        rows: list[Row] = connection.execute(query).fetchall()
        return rows


@pytest.fixture
def postgres(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


def _round_trip(pair: Pair, folder: Path, types: Mapping[str, Sequence[str]]) -> None:
    samples = Samples(pair, types)
    config = write_config(folder, "clinic", *pair, {"sample": ["code"]})
    install(config)
    pair[0].script(HOSTILE)
    for write in (samples.insert, lambda: samples.update(1), lambda: samples.update(samples.rows)):
        write()
        replicate(config)
        samples.check()


def test_every_postgresql_type_arrives_byte_for_byte_whatever_the_application_has_set(
    postgres: Pair, tmp_path: Path
) -> None:
    for side in postgres:
        side.script(OWN_TYPES)
    _round_trip(postgres, tmp_path, TYPES)


@pytest.mark.parametrize("name", ADDED)
def test_types_of_extensions_arrive_byte_for_byte(postgres: Pair, tmp_path: Path, name: str) -> None:
    for side in postgres:
        try:
            side.run("select '<a/>'::xml" if name == "xml" else f"create extension {name}")
        except psycopg.Error as error:
            pytest.skip(f"this server has no {name}: {error}")
    _round_trip(postgres, tmp_path, ADDED[name])


KEYS: Mapping[str, Sequence[str]] = {
    "numeric": ("1.10", "1e-30", "1234567890123456789012345678901234567890"),
    "bigint": ("9007199254740993", "9007199254740992", "-9223372036854775808"),
    "float8": ("0.1", "0.30000000000000004", "-Infinity"),
    "text": ("a\tb\\", "😀", ""),
    "char(5)": ("ab", "abc", "b"),
    "varchar(1)": ("a", "b", "c"),
    "citext": ("Mixed", "other", "OTHER2"),
    "date": ("2024-02-29", "0044-03-15 BC", "-infinity"),
    "timestamptz": ("2024-03-31 01:30:00+00", "2024-03-31 01:30:00.000001+00", "-infinity"),
    "uuid": [f"00000000-0000-4000-8000-00000000000{i}" for i in range(3)],
}
HARD_KEYS: Mapping[str, Sequence[str]] = {
    "numeric(3,0)": ("-999", "999", "0"),
    "numeric check (value > 0)": ("1", "2", "3"),
    "text check (value in ('a', 'b', 'c'))": ("a", "b", "c"),
    "timestamp": ("-infinity", "infinity", "2024-02-29 00:00:00"),
    "time": ("00:00", "24:00", "12:00"),
    "bytea": ("\\x00", "\\x0001", "\\x"),
    "inet": ("10.0.0.1", "10.0.0.1/24", "::1"),
    "mood": ("so so", "it's", ""),
    "percent": ("1", "2", "3"),
    "int4range": ("[1,2)", "empty", "(,)"),
}
"""Values at the ends of what their types and checks allow."""

NO_SPARE = ("numeric(3,0)", "text check (value in ('a', 'b', 'c'))", "timestamp", "time", "inet", "mood", "int4range")
"""Of these no value is free, or none is found, to move a row aside while two change places."""

WITH_SPARE = {declared: keys for declared, keys in HARD_KEYS.items() if declared not in NO_SPARE}


class Keyed:
    """A table for each type, keyed by it, with rows 0 and 1 at the first two keys."""

    def __init__(self, pair: Pair, folder: Path, types: Mapping[str, Sequence[str]]) -> None:
        self.source, self.target = pair
        self.keys = {f"t{i}": keys for i, keys in enumerate(types.values())}
        for side in pair:
            side.script(OWN_TYPES + "create extension citext;" + "".join(map(_keyed_table, self.keys, types)))
        for table in self.keys:
            self.target.run(f"alter table {table} alter id restart with 70")
        self.config = write_config(folder, "clinic", *pair, {table: ["k"] for table in self.keys})
        install(self.config)
        self.source.script(HOSTILE)
        for table, keys in self.keys.items():
            rows = [(key, i) for i, key in enumerate(keys[:2])]
            self.source.many(f"insert into public.{table} (k, n) values (?, ?)", rows)

    def send(self) -> dict[str, list[Row]]:
        """Replicate and compare; returns the server's ids."""
        replicate(self.config)
        for table in self.keys:
            query = f"select k::text, n from {table} order by k"
            assert _pinned(self.target, query) == _pinned(self.source, query)
        return {table: self.target.rows(f"select id, n from {table} order by n") for table in self.keys}

    def rename(self, table: str, old: str, new: str) -> None:
        self.source.run(f"update public.{table} set k = ? where k = ?", (new, old))


def _keyed_table(table: str, declared: str) -> str:
    declared, _, check = declared.partition(" check ")
    check = check and "check " + check.replace("value", "k")
    return f"create table {table} (id {{pk}}, k {declared} not null unique {check}, n int);"


@pytest.mark.parametrize("types", [KEYS, HARD_KEYS], ids=["easy", "hard"])
def test_a_key_of_every_postgresql_type_finds_its_row_and_can_be_renamed(
    postgres: Pair, tmp_path: Path, types: Mapping[str, Sequence[str]]
) -> None:
    keyed = Keyed(postgres, tmp_path, types)
    before = keyed.send()
    for table, (first, second, third) in keyed.keys.items():
        keyed.source.run(f"delete from public.{table} where k = ?", (second,))
        keyed.rename(table, first, third)
    assert keyed.send() == {table: ids[:1] for table, ids in before.items()}


def test_a_key_can_be_renamed_to_the_last_free_value_while_its_former_row_is_deleted(
    postgres: Pair, tmp_path: Path
) -> None:
    keyed = Keyed(postgres, tmp_path, {"boolean": ("f", "t")})
    before = keyed.send()
    keyed.source.run("delete from public.t0 where k")
    keyed.rename("t0", "f", "t")
    assert keyed.send() == {"t0": before["t0"][:1]}


@pytest.mark.parametrize("types", [KEYS, WITH_SPARE], ids=["easy", "hard"])
def test_two_keys_can_change_places(postgres: Pair, tmp_path: Path, types: Mapping[str, Sequence[str]]) -> None:
    keyed = Keyed(postgres, tmp_path, types)
    before = keyed.send()
    change_places(keyed)
    assert keyed.send() == before


@pytest.mark.parametrize("declared", NO_SPARE)
def test_two_keys_that_cannot_change_places_wait_and_say_so(postgres: Pair, tmp_path: Path, declared: str) -> None:
    keyed = Keyed(postgres, tmp_path, {declared: HARD_KEYS[declared]})
    keyed.send()
    held = keyed.target.rows("select id, k::text from public.t0 order by id")
    change_places(keyed)
    with pytest.raises(CdcSyncError, match="change places"):
        replicate(keyed.config)
    assert keyed.target.rows("select id, k::text from public.t0 order by id") == held
    waits = received(keyed.config, keyed.target)
    assert (waits.stored, waits.applied) == (2, 1)


def change_places(keyed: "Keyed") -> None:
    """Swap the first two keys of every table through the third, in one transaction each."""
    for table, (first, second, third) in keyed.keys.items():
        with keyed.source.transaction():
            for old, new in ((first, third), (second, first), (third, second)):
                keyed.rename(table, old, new)


STRUCTURES = """
create domain required as text not null check (value <> '');
create table item (
    dropped integer,
    id bigint generated always as identity primary key,
    code required unique,
    width integer,
    gone text,
    area integer generated always as (width * width) stored,
    label text generated always as ('w' || width::text) virtual,
    note required default 'none',
    ticket bigint generated always as identity (start with 1000)
);
alter table item drop column dropped, drop column gone, add column late text default 'fast';
"""


def test_identity_always_generated_and_dropped_columns_and_required_domains(postgres: Pair, tmp_path: Path) -> None:
    source, target = postgres
    for side in postgres:
        side.script(STRUCTURES)
    target.script("alter table item alter id restart with 500")
    config = write_config(tmp_path, "clinic", source, target, {"item": ["code"]})
    install(config)
    query = "select code, width, area, label, note, late, ticket from item order by code"
    for statements in (
        ("insert into item (code, width) values ('a', 2), ('b', 3), ('c', null)",),
        ("update item set width = 5, note = 'n' where code = 'a'", "delete from item where code = 'b'"),
        ("update item set code = 'd' where code = 'c'", "insert into item (code, late) values ('e', null)"),
    ):
        for statement in statements:
            source.run(statement)
        replicate(config)
        assert target.rows(query) == source.rows(query)
    assert target.rows("select min(id) from item") == [(500,)]


def test_a_label_added_to_an_enum_between_two_batches_arrives(postgres: Pair, tmp_path: Path) -> None:
    source, target = postgres
    for side in postgres:
        side.script("create type mood as enum ('sad'); create table diary (id {pk}, day date not null unique, m mood);")
    config = write_config(tmp_path, "clinic", source, target, {"diary": ["day"]})
    install(config)
    source.run("insert into diary (day, m) values ('2024-01-01', 'sad')")
    replicate(config)
    for side in postgres:
        side.script("alter type mood add value 'happy' before 'sad'; alter type mood rename value 'sad' to 'blue'")
    source.run("insert into diary (day, m) values ('2024-01-02', 'happy'), ('2024-01-03', 'blue')")
    replicate(config)
    query = "select day, m from diary order by day"
    assert target.rows(query) == source.rows(query)


# --- between SQLite and PostgreSQL

MIXED = {
    "sqlite": """create table reading (id {pk}, code text not null unique, flag boolean, small integer, big bigint,
        ratio double precision, amount numeric(14,4), day date, moment timestamp, instant timestamp with time zone,
        hour time, data blob, note text, label varchar(20), token uuid, facts json);""",
    "postgresql": """create table reading (id {pk}, code text not null unique, flag boolean, small integer, big bigint,
        ratio double precision, amount numeric(14,4), day date, moment timestamp, instant timestamp with time zone,
        hour time, data bytea, note text, label varchar(20), token uuid, facts json);""",
}
READINGS: Sequence[Mapping[str, object]] = (
    {},
    {"flag": True, "small": 1, "big": 2**63 - 1, "ratio": 0.1 + 0.2, "amount": "1.25", "note": "", "data": b""},
    {"flag": False, "small": -(2**31), "big": -(2**63), "ratio": 5e-324, "amount": "-1234567890.1234", "note": " x "},
    {"ratio": 1.7976931348623157e308, "big": 2**53 + 1, "amount": "0", "note": "tab\t nl\n cr\r \\ \\N \\."},
    {"ratio": math.inf, "amount": "0.0001", "note": "😀 é e\u0301 'q' \"", "data": bytes(range(256))},
    {"ratio": -math.inf, "amount": "1000000", "label": "varchar ", "note": "1e3", "data": b"\0"},
    {"ratio": 1.0, "day": "2024-02-29", "moment": "2024-02-29 12:34:56", "instant": "2024-02-29 12:34:56+00"},
    {"ratio": 2.0**70, "day": "0001-01-01", "moment": "2024-02-29 12:34:56.789", "instant": "2024-10-27 02:30:00.5+02"},
    {"hour": "23:59:59.999999", "token": "ffffffff-ffff-4fff-bfff-ffffffffffff", "facts": '{"a": [1.50, null]}'},
)
COLUMNS = tuple(
    "code flag small big ratio amount day moment instant hour data note label token facts".split()  # noqa: SIM905
)
TEXTS = ("day", "moment", "instant", "hour", "token", "facts")


@pytest.fixture(params=["sqlite-postgresql", "postgresql-sqlite"])
def mixed(request: pytest.FixtureRequest, make_side: Make) -> Pair:
    """Two databases of different kinds with the same table of everyday types."""
    sides = tuple(make_side(kind, f"{kind}-{i}") for i, kind in enumerate(request.param.split("-")))
    for side in sides:
        side.script(MIXED[side.kind])
    return sides[0], sides[1]


def _readings(side: Side) -> list[dict[str, Any]]:
    """The rows; dates and the like as text, numbers and truth values as Python means them."""
    if side.kind == "postgresql":
        side.run("set timezone = 'UTC'")
    chosen = ", ".join(f"cast({c} as text)" if c in TEXTS else c for c in COLUMNS)
    rows = side.rows(f"select {chosen} from reading order by code")
    return [{c: _plain(c, value) for c, value in zip(COLUMNS, row, strict=True)} for row in rows]


def _plain(column: str, value: Any) -> Any:
    if value is None:
        return None
    if column == "flag":
        assert value in (0, 1)
        return bool(value)
    if column == "amount":
        return Decimal(str(value))
    if column == "ratio":
        return struct.pack(">d", value)
    if column == "instant":
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


def _enter(side: Side, rows: Iterable[Mapping[str, object]]) -> None:
    for i, row in enumerate(rows):
        names = ", ".join(("code", *row))
        side.run(f"insert into reading ({names}) values ({', '.join('?' * (len(row) + 1))})", (str(i), *row.values()))


def test_everyday_values_mean_the_same_in_both_databases(mixed: Pair, tmp_path: Path) -> None:
    source, target = mixed
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, READINGS)
    replicate(config)
    assert _readings(target) == _readings(source)
    source.run("update reading set note = 'was ' || code, flag = not flag, ratio = null, big = 0, data = null")
    replicate(config)
    assert _readings(target) == _readings(source)


UNHOLDABLE = [
    pytest.param("sqlite", "postgresql", "note", "secret\0text", id="text with NUL into text"),
    pytest.param("sqlite", "postgresql", "note", b"secret", id="BLOB into text"),
    pytest.param("sqlite", "postgresql", "facts", b"secret", id="BLOB into json"),
    pytest.param("sqlite", "postgresql", "data", "secret", id="text into bytea"),
    pytest.param("sqlite", "postgresql", "small", "secret", id="text into integer"),
    pytest.param("sqlite", "postgresql", "small", 1234567890123, id="large integer into integer"),
    pytest.param("sqlite", "postgresql", "small", 4711.25, id="fraction into integer"),
    pytest.param("sqlite", "postgresql", "flag", 4711, id="number into boolean"),
    pytest.param("sqlite", "postgresql", "day", "secret", id="text into date"),
    pytest.param("sqlite", "postgresql", "label", "secret" * 10, id="long text into varchar"),
    pytest.param("sqlite", "postgresql", "token", "secret", id="text into uuid"),
    pytest.param("sqlite", "postgresql", "amount", 1.23e30, id="large number into numeric"),
    pytest.param("sqlite", "postgresql", "ratio", "secret", id="text into double precision"),
    pytest.param("postgresql", "sqlite", "ratio", math.nan, id="NaN into REAL"),
    pytest.param("postgresql", "sqlite", "amount", "1234567890.1234567890123", id="many digits into NUMERIC"),
]


@pytest.mark.parametrize(("kind", "to", "column", "value"), UNHOLDABLE)
def test_a_value_that_the_target_cannot_hold_is_refused_by_name_and_its_batch_waits(
    make_side: Make, tmp_path: Path, kind: str, to: str, column: str, value: object
) -> None:
    source, target = make_side(kind, "source"), make_side(to, "target")
    for side in (source, target):
        side.script(MIXED[side.kind].replace("numeric(14,4)", "numeric") if kind == "postgresql" else MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, [{"note": "sound"}, {column: value}])
    with pytest.raises(CdcSyncError) as caught:
        replicate(config)
    message = f"{caught.value} {caught.value.hint}"
    assert f"'{column}'" in message
    assert not any(part in message for part in ("secret", "4711", "1234567890", "1.23", "736563726574"))
    assert target.rows("select count(*) from reading") == [(0,)]
    here = received(config, target)
    assert (here.stored, here.applied) == (1, 0)


@pytest.mark.parametrize("number", ["12345678901234567890.5", "1.50"])
def test_json_that_sqlite_would_take_for_a_number_is_not_changed(make_side: Make, tmp_path: Path, number: str) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, [{"facts": number}])
    with suppress(CdcSyncError):  # a refusal is as good
        replicate(config)
    assert target.rows("select facts from reading") in ([(number,)], [])


def test_the_sources_status_shows_a_batch_that_is_stored_and_waits(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, [{"note": b"blob"}])
    with pytest.raises(CdcSyncError):
        replicate(config)
    (server,) = status(config).destinations
    assert (server.stored, server.applied, server.waiting_changes) == (1, 0, 1)
