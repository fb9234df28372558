"""From SQLite to SQLite every value arrives in its storage class, to the last bit."""

import math
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Make
from tests.nodes import Row, Side, install, replicate, write_config

Replicate = Callable[[], object]


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
