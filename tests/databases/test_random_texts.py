"""Texts that are nearly right: one that passes means to the database what it says, by an oracle of Python's own."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.core.values import Unholdable, to_copy
from cdc_sync.databases import Target, sqlite_staging
from cdc_sync.errors import RefusedRow
from tests.conftest import Make
from tests.nodes import Side

SLIPS = "0123456789-:+ TZ.eE_xfBC,$\t\n\u00a0\u0661"


def _slipped(start: str, slips: list[tuple[int, str, int]]) -> str:
    """A text with characters put in (0), written over or taken out (1) at some places."""
    for place, character, width in slips:
        at = place % (len(start) + 1)
        start = start[:at] + character + start[at + width :]
    return start


def nearly(*texts: str) -> st.SearchStrategy[str]:
    slip = st.tuples(st.integers(0, 40), st.sampled_from(["", *SLIPS]), st.integers(0, 1))
    return st.builds(_slipped, st.sampled_from(texts), st.lists(slip, max_size=2))


def _number(text: str) -> Any:
    return Decimal(text.replace("$", "").replace(",", ""))


def _moment(text: str) -> Any:
    found = datetime.fromisoformat(_offset(text))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _time(text: str) -> Any:
    found = time.fromisoformat(_offset(text))
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _offset(text: str) -> str:
    text = re.sub(r"([T ]?[0-9:.]+[+-]\d\d)$", r"\1:00", text) if re.search(r":.*[+-]\d\d$", text) else text
    return re.sub(r"(\.\d{6})0+", r"\1", text)


def _hex(text: str) -> str:
    return re.sub("[-{}]", "", text).lower()


READ: dict[str, tuple[Kind, tuple[str, ...], Callable[[str], Any]]] = {
    "integer": (Kind.INTEGER, ("123", "-5", "0"), _number),
    "numeric": (Kind.NUMERIC, ("1.10", "-0.5", "123456789.000"), _number),
    "double precision": (Kind.FLOAT, ("1.5", "-2e10", "0.1"), _number),
    "real": (Kind.FLOAT, ("1.5", "0.1", "-3e10"), _number),
    "money": (Kind.OTHER, ("$1,234.50", "-1.5", "100,000"), _number),
    "date": (Kind.DATE, ("2026-01-31", "0001-02-28"), str),
    "timestamp without time zone": (Kind.TIMESTAMP, ("2026-01-31T23:59:59.999999Z", "2026-01-31 10:00"), _moment),
    "timestamp with time zone": (Kind.TIMESTAMP, ("2026-01-31T10:00:00+05:30", "2026-01-31 23:59:59.5"), _moment),
    "time without time zone": (Kind.TIME, ("10:00", "23:59:59.999999"), _time),
    "time with time zone": (Kind.TIME, ("10:00:00+05:30", "23:59:59.999999Z"), _time),
    "uuid": (Kind.UUID, ("ffffffff-ffff-4fff-bfff-ffffffffffff", "{ffffffffffff4fffbfffffffffffffff}"), _hex),
}


@pytest.mark.parametrize("declared", READ)
@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_postgresql_takes_means_what_it_says(one_server: Side, declared: str, data: st.DataObject) -> None:
    kind, starts, read = READ[declared]
    taken = to_copy(kind, declared)
    passing = []
    for text in data.draw(st.lists(nearly(*starts), min_size=40, max_size=60)):
        with suppress(Unholdable):
            taken(text)
            passing.append(text)
    query = f"select cast(cast(nullif(?, '') as {declared}) as text)"
    for text in passing:
        with suppress(psycopg.DataError):
            (stored,) = one_server.rows(query, (taken(text),))[0]
            beyond_python = "24:00" in stored or " BC" in stored or re.match("[0-9]{5,}-", stored)
            assert beyond_python or read(stored) == read(text), (text, stored)


@pytest.fixture
def one_server(make_side: Make) -> Side:
    side = make_side("postgresql", "server")
    side.run("set timezone = 'UTC'")
    side.run("set lc_monetary = 'C'")
    return side


NUMERIC_TEXTS = nearly("1.5", "42", "-7", "1e3", "9223372036854775807", "9223372036854775808", "1e+20", "0", "x")


@pytest.mark.parametrize("declared", ["integer", "numeric", "real"])
@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(texts=st.lists(NUMERIC_TEXTS, min_size=20, max_size=60))
def test_what_a_column_of_numbers_takes_reads_as_it_was_written(declared: str, texts: list[str]) -> None:
    columns = [Staged("v0", Kind.TEXT, "v")]
    targets = [Target(table="t", column="v", declared=declared, kind=Kind.NUMERIC)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"create table t (v {declared})")
        for text in texts:
            with suppress(RefusedRow):
                ((value,),) = sqlite_staging.checked([[text]], columns, targets)
                connection.execute("insert into t values (?)", (value,))
                stored = connection.execute("select v from t order by rowid desc").fetchone()[0]
                assert (stored if isinstance(stored, str) else repr(stored)) == text
