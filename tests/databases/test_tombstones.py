"""Tombstones: what is known of rows that went, looked up by natural key."""

import time
from collections.abc import Iterator

import pytest

from cdc_sync import databases, receive
from cdc_sync.databases import Mode, Session, tombstones
from tests.conftest import Make

HOSTILE = [("it's",), ('"x"\\',), ("é\N{GRINNING FACE}",), ("\u2028",), (7,), ("7",), (b"\x00\xff",), ("a", 1), ("",)]


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request: pytest.FixtureRequest, make_side: Make) -> Iterator[Session]:
    with databases.connect(make_side(request.param, "node").url) as database:
        receive.prepare(database)
        with database.begin(Mode.WRITE) as session:
            yield session


def test_a_row_is_found_under_the_key_that_it_was_buried_under_and_no_other(session: Session) -> None:
    tombstones.bury(session, "subject", "one", [(f"2026-01-0{i}", key) for i, key in enumerate(HOSTILE)])
    found = tombstones.buried(session, "subject", "two", enumerate(HOSTILE))
    assert found == {i: f"2026-01-0{i}" for i in range(len(HOSTILE))}
    assert tombstones.buried(session, "subject", "one", enumerate(HOSTILE)) == {}
    assert tombstones.buried(session, "visit", "two", enumerate(HOSTILE)) == {}
    assert tombstones.buried(session, "subject", "two", [(1, ("other",)), (2, ("a",)), (3, (None,))]) == {}


def test_the_newest_of_several_deletions_counts_whatever_comes_last(session: Session) -> None:
    for origin, at in (("one", "2026-01-02"), ("two", "2026-01-03"), ("three", "2026-01-01")):
        tombstones.bury(session, "subject", origin, [("2025-01-01", ("a",)), (at, ("a",))])
    assert tombstones.buried(session, "subject", "one", [(1, ("a",))]) == {1: "2026-01-03"}


def test_a_key_of_which_a_part_is_not_known_is_nobodys(session: Session) -> None:
    tombstones.bury(session, "subject", "one", [("2026-01-01", ("a", None))])
    assert tombstones.buried(session, "subject", "two", [(1, ("a", None))]) == {}


def test_many_graves_cost_a_small_batch_little(session: Session) -> None:
    """Each batch once read all of them."""
    tombstones.bury(session, "subject", "one", [("2026-01-01", (f"s{i}",)) for i in range(20_000)])
    times = []
    for count in (2, 20_000):
        started = time.perf_counter()
        found = tombstones.buried(session, "subject", "two", [(i, (f"s{i}",)) for i in range(count)])
        times.append(time.perf_counter() - started)
        assert found == dict.fromkeys(range(count), "2026-01-01")
    assert times[0] < times[1] / 5
