"""Between SQLite and PostgreSQL values mean the same; what the target cannot hold is refused, never changed."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cdc_sync.core.letters import State
from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.journeys.conftest import Pair
from tests.nodes import Side, install, letters, replicate, status, write_config

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
def test_a_value_that_the_target_cannot_hold_is_refused_by_name_and_its_row_waits_alone(
    make_side: Make, tmp_path: Path, kind: str, to: str, column: str, value: object
) -> None:
    source, target = make_side(kind, "source"), make_side(to, "target")
    for side in (source, target):
        side.script(MIXED[side.kind].replace("numeric(14,4)", "numeric") if kind == "postgresql" else MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, [{"note": "sound"}, {column: value}])
    replicate(config)
    (letter,) = letters(target)
    message = f"{letter.message} {letter.hint}"
    assert letter.state is State.DEAD
    assert f"'{column}'" in message
    assert not any(part in message for part in ("secret", "4711", "1234567890", "1.23", "736563726574"))
    assert target.rows("select code from reading") == [("0",)]


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


def test_a_row_that_waits_as_a_letter_is_no_longer_the_sources_affair(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, [{"note": b"blob"}])
    assert [item.waiting for item in replicate(config)] == [{"dead": 1}]
    (server,) = status(config).destinations
    assert (server.stored, server.applied, server.waiting_changes) == (1, 1, 0)
