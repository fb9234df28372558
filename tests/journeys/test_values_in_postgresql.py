"""From PostgreSQL to PostgreSQL a value of every type arrives byte for byte, whatever the application has set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.journeys.conftest import HOSTILE, OWN_TYPES, Pair, pinned
from tests.nodes import Side, install, replicate, write_config

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
ADDED = {
    "hstore": {"hstore": ('a=>NULL, "b c"=>"d\\"e"', "")},
    "citext": {"citext": ("MiXed", "mixed")},
    "ltree": {"ltree": ("top.science.astronomy", "")},
    "vector": {"vector(3)": ("[1,0.1,-3e-38]",)},
    "xml": {"xml": ("<a b='c'>d</a>", "text")},
}


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
        rows = pinned(side, f"select {chosen} from public.sample order by code")
        assert len(rows) == self.rows
        return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _array(declared: str, values: Sequence[str]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    delimiter = ";" if declared == "box" else ","
    return "{" + delimiter.join([*quoted, "NULL"]) + "}"


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
