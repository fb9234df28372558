"""Traps of values in SQLite: the type is the value's and not the column's, and affinity makes another value of it."""

import datetime
import struct
from pathlib import Path

import pytest

from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.journeys.conftest import Pair
from tests.nodes import Row, Side, install, letters, replicate, write_config


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side(request.param, "target")


ONLY_SQLITE = pytest.mark.parametrize("pair", ["sqlite"], indirect=True)
ONLY_POSTGRESQL = pytest.mark.parametrize("pair", ["postgresql"], indirect=True)


def sent(pair: Pair, folder: Path, declared: str, *values: object, there: str = "") -> list[object]:
    """What arrives of values written into a column of that declaration, in the order of writing."""
    for side, column in zip(pair, (declared, there or declared), strict=True):
        side.script(f"create table sample (id {{pk}}, code text not null unique, v {column});")
    config = write_config(folder, "laptop", *pair, {"sample": ["code"]})
    install(config)
    for i, value in enumerate(values):
        pair[0].run("insert into sample (code, v) values (?, ?)", (f"{i:03}", value))
    replicate(config)
    return [value for (value,) in pair[1].rows("select v from sample order by code")]


# --- affinity


@ONLY_POSTGRESQL
def test_a_date_without_dashes_that_became_a_number_arrives_as_that_date_or_is_refused(
    pair: Pair, tmp_path: Path
) -> None:
    """DATE has numeric affinity: '20240102' is stored as the integer."""
    try:
        arrived = sent(pair, tmp_path, "date", "20240102")
    except CdcSyncError as error:
        assert "'v'" in str(error)
        arrived = []
    assert pair[0].rows("select typeof(v) from sample") == [("integer",)]
    assert arrived in ([], [datetime.date(2024, 1, 2)])


@ONLY_POSTGRESQL
def test_true_is_the_integer_one_and_arrives_as_true(pair: Pair, tmp_path: Path) -> None:
    assert sent(pair, tmp_path, "boolean", True, 1, 0, False, None) == [True, True, False, False, None]


DIGITS = ("0.1", "123456789012345678", "1234567890123456789", "12345678901234567890", "0.30000000000000004", "1e2")


def test_a_decimal_arrives_as_sqlite_kept_it_with_or_without_all_of_its_digits(pair: Pair, tmp_path: Path) -> None:
    """Text of 19 digits becomes an integer, of more a double: what is lost is lost before a trigger can see it."""
    arrived = sent(pair, tmp_path, "decimal(40, 20)", *DIGITS)
    kept = [value for (value,) in pair[0].rows("select v from sample order by code")]
    assert [float(str(value)) for value in arrived] == [float(value) for value in kept]
    assert int(str(arrived[2]).split(".")[0]) == 1234567890123456789


EXTREME = (-0.0, 0.0, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), 0.1 + 0.2, 1e15, 2.0**63, 1e-7)


def test_doubles_arrive_to_the_last_bit_and_minus_zero_with_its_sign(pair: Pair, tmp_path: Path) -> None:
    arrived = sent(pair, tmp_path, "double precision", *EXTREME)
    kept = pair[0].rows("select v from sample order by code")
    assert [struct.pack(">d", value) for value in arrived] == [struct.pack(">d", value) for (value,) in kept]


def test_nan_is_null_to_sqlite_and_arrives_as_null(pair: Pair, tmp_path: Path) -> None:
    assert sent(pair, tmp_path, "double precision", float("nan"), 1.5) == [None, 1.5]


def test_integers_of_64_bits_arrive_as_they_are(pair: Pair, tmp_path: Path) -> None:
    values = (2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 0)
    assert sent(pair, tmp_path, "bigint", *values) == list(values)


# --- what another database cannot hold

UNHOLDABLE = {
    "a NUL in text": "select 'a' || char(0) || 'b'",
    "text that is not UTF-8": "select cast(x'61ff62' as text)",
    "half of a surrogate pair": "select cast(x'eda080' as text)",
    "a BLOB in a text column": "select x'00ff'",
}


@pytest.mark.parametrize("query", UNHOLDABLE.values(), ids=UNHOLDABLE.keys())
def test_an_odd_value_never_breaks_the_write_and_arrives_or_is_refused_by_name(
    pair: Pair, tmp_path: Path, query: str
) -> None:
    """JSON would refuse a BLOB within the application's own statement, and cut text at a NUL or pass bad bytes on."""
    schema = "create table sample (id {pk}, code text not null unique, v text);"
    for side in pair:
        side.script(schema)
    config = write_config(tmp_path, "laptop", *pair, {"sample": ["code"]})
    install(config)
    pair[0].run(f"insert into sample (code, v) values ('a', ({query}))")
    pair[0].run(f"update sample set v = ({query}) where code = 'a'")
    if pair[1].kind == "sqlite":
        replicate(config)
        odd = "select code, typeof(v), cast(v as blob) from sample"
        assert pair[1].rows(odd) == pair[0].rows(odd)
        return
    replicate(config)
    (letter,) = letters(pair[1])
    assert "'v'" in letter.message
    assert pair[1].rows("select count(*) from sample") == [(0,)]
    pair[0].run("update sample set v = 'corrected'")
    replicate(config)
    assert pair[1].rows("select v from sample") == [("corrected",)]
    assert letters(pair[1]) == []


# --- keys of every storage class

KEYS: tuple[object, ...] = (
    *(1, "1", b"1", 1.5, "1.5", b"", "", " "),
    *(2**63 - 1, -(2**63), 2.0**63, float("inf"), float("-inf"), 5e-324, 0),
    *("a", "a\0", "a\0b", "a\0c", "A", "é", "e\u0301", b"a\0", "x" * 5000),
)
AS_BYTES = "typeof({0}), case typeof({0}) when 'text' then cast({0} as blob) else {0} end"


def bits(side: Side) -> list[Row]:
    rows = side.rows(f"select {AS_BYTES.format('code')}, note from sample")
    return sorted(rows, key=repr)


@ONLY_SQLITE
def test_keys_of_every_storage_class_are_told_apart(pair: Pair, tmp_path: Path) -> None:
    """The integer 1, the text '1' and the byte 0x31 are three keys; 'a' and 'a' with a NUL behind it are two."""
    for side in pair:
        side.script("create table sample (id {pk}, code not null unique, note text);")
    source, target = pair
    config = write_config(tmp_path, "laptop", *pair, {"sample": ["code"]})
    install(config)

    def arrive() -> None:
        replicate(config)
        assert bits(target) == bits(source)

    source.many("insert into sample (code, note) values (?, ?)", [(key, str(i)) for i, key in enumerate(KEYS)])
    source.run("insert into sample (code, note) values (cast(x'ff' as text), 'not UTF-8')")
    arrive()
    assert len(bits(target)) == len(KEYS) + 1
    for i, key in enumerate(KEYS):
        source.run("update sample set note = ? where code = ?", (f"new {i}", key))
    arrive()
    source.many("insert or replace into sample (code, note) values (?, 'replaced')", [(key,) for key in KEYS[::2]])
    arrive()
    source.many("delete from sample where code = ?", [(key,) for key in KEYS[::3]])
    source.run("delete from sample where note = 'not UTF-8'")
    arrive()
    assert len(bits(target)) == len(KEYS) - len(KEYS[::3])


@ONLY_SQLITE
def test_a_key_that_changes_only_its_storage_class_is_a_change(pair: Pair, tmp_path: Path) -> None:
    for side in pair:
        side.script("create table sample (id {pk}, code not null unique, note text);")
    source, target = pair
    config = write_config(tmp_path, "laptop", *pair, {"sample": ["code"]})
    install(config)
    source.run("insert into sample (code) values (1), ('2'), (x'33')")
    replicate(config)
    for code in (1.5, b"2", "3"):
        source.run("update sample set code = ? where cast(code as integer) = cast(? as integer)", (code, code))
    replicate(config)
    assert bits(target) == bits(source)
    assert [row[0] for row in bits(target)] == ["blob", "real", "text"]
