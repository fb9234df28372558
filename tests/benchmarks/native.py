"""PostgreSQL's own logical replication between two databases of one server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from tests.benchmarks import postgres
from tests.benchmarks.measure import timed

SLOT = "benchmark"

POLL = 0.005
"""Seconds between two looks at the target."""


@contextmanager
def subscribed(source: sa.URL, target: sa.URL, tables: str = "t") -> Iterator[None]:
    """A disabled subscription to these tables, whose slot remembers everything from now on."""
    with postgres.connected(source) as connection:
        connection.execute(f"create publication benchmark for table {tables}")
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))
    try:
        with postgres.connected(target) as connection:
            connection.execute(
                f"create subscription benchmark connection '{postgres.text(source)}' publication benchmark "
                f"with (create_slot = false, slot_name = {SLOT}, enabled = false, copy_data = false)"
            )
        yield
    finally:
        _drop(source, target)


def _drop(source: sa.URL, target: sa.URL) -> None:
    disable(source, target)
    with postgres.connected(target) as connection:
        connection.execute("alter subscription benchmark set (slot_name = none)")
        connection.execute("drop subscription benchmark")
    with postgres.connected(source) as connection:
        connection.execute("select pg_drop_replication_slot(%s)", (SLOT,))


def catch_up(target: sa.URL, arrived: str) -> float:
    """Enable the subscription: seconds until the query ``arrived`` finds the last row; transactions come in order."""
    with postgres.connected(target) as watch, postgres.connected(target) as connection:

        def work() -> None:
            connection.execute("alter subscription benchmark enable")
            while watch.execute(arrived, prepare=True).fetchone() is None:
                time.sleep(POLL)

        return timed(work)


def disable(source: sa.URL, target: sa.URL) -> None:
    """Stop the subscription, and wait until its slot is free."""
    with postgres.connected(target) as connection:
        connection.execute("alter subscription benchmark disable")
    with postgres.connected(source) as connection:
        while _active(connection):
            time.sleep(POLL)


def _active(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    return bool(postgres.one(connection, "select 1 from pg_replication_slots where active"))
