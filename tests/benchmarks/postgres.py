"""A PostgreSQL server to measure on, with connections and backlogs. Durable: fsync and synchronous_commit are on."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa

from tests.benchmarks.table import SUMMARY, UPDATE_RANGE, VISIT, Table
from tests.servers import database, postgresql

Connection = psycopg.Connection[tuple[object, ...]]

TRANSACTION = 1_000
"""Rows that an application writes in one transaction while a backlog grows."""


@contextmanager
def server(**settings: str) -> Iterator[sa.URL]:
    """A server with room in its WAL, so that no checkpoint falls into one rival's time only."""
    with postgresql(fsync="on", synchronous_commit="on", max_wal_size="'8GB'", **settings) as url:
        yield url


def text(url: sa.URL) -> str:
    """The URL with its password, for libpq and for our file."""
    return url.render_as_string(hide_password=False)


@contextmanager
def connected(url: sa.URL) -> Iterator[Connection]:
    """A connection in autocommit."""
    with psycopg.connect(text(url), autocommit=True) as connection:
        yield connection


@contextmanager
def table_database(url: sa.URL, table: Table = VISIT) -> Iterator[sa.URL]:
    """A database of its own with the empty table."""
    with database(url) as own:
        with connected(own) as connection:
            connection.execute(table.postgresql)
        yield own


def version(url: sa.URL) -> str:
    return str(fetched(url, "show server_version")).split()[0]


def one(connection: Connection, query: str) -> object:
    """The only value of the only row; None where there is no row."""
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def fetched(url: sa.URL, query: str) -> object:
    """The only value that a query finds, over a connection of its own."""
    with connected(url) as connection:
        return one(connection, query)


def insert_backlog(url: sa.URL, count: int) -> None:
    """Insert rows 1 to ``count`` in transactions of 1,000."""
    with connected(url) as connection:
        for first in range(1, count + 1, TRANSACTION):
            connection.execute(VISIT.insert_generated, (first, min(first + TRANSACTION - 1, count)))


def update_backlog(url: sa.URL, count: int) -> None:
    """Update rows 1 to ``count`` in transactions of 1,000."""
    with connected(url) as connection:
        for first in range(1, count + 1, TRANSACTION):
            last = min(first + TRANSACTION - 1, count)
            connection.execute(UPDATE_RANGE.format(first=first, last=last))


def checkpoint(url: sa.URL) -> None:
    with connected(url) as connection:
        connection.execute("checkpoint")


def count_and_weight(url: sa.URL) -> list[float]:
    """Enough to see that a target has what its source has."""
    with connected(url) as connection:
        rows = connection.execute(SUMMARY).fetchall()
    return [float(str(value or 0)) for value in rows[0]]
