"""A PostgreSQL server to measure on, with connections and backlogs. Durable: fsync and synchronous_commit are on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

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
    with script_database(url, table.postgresql) as own:
        yield own


@contextmanager
def script_database(url: sa.URL, script: str) -> Iterator[sa.URL]:
    """A database of its own in which the script was run."""
    with database(url) as own:
        run(own, script)
        yield own


def run(url: sa.URL, script: str) -> None:
    """Run statements over a connection of their own."""
    with connected(url) as connection:
        connection.execute(script)


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


def write(url: sa.URL, transactions: Iterable[Sequence[tuple[str, Mapping[str, int]]]]) -> None:
    """Run transactions of statements whose ``{name}`` are bound. Nobody waits for each to be flushed."""
    with connected(url) as connection:
        connection.execute("set synchronous_commit = off")
        with connection.pipeline() as pipeline:
            for statements in transactions:
                for text, bounds in statements:
                    connection.execute(_marked(text, tuple(bounds)), bounds, prepare=True)
                pipeline.sync()


@cache
def _marked(text: str, names: tuple[str, ...]) -> str:
    """The statement as the driver takes it."""
    return text.replace("%", "%%").format(**{name: f"%({name})s" for name in names})


def checkpoint(url: sa.URL) -> None:
    run(url, "checkpoint")


def summary(url: sa.URL, query: str = SUMMARY) -> list[float]:
    """Enough to see that a target has what its source has."""
    with connected(url) as connection:
        rows = connection.execute(query).fetchall()
    return [float(str(value or 0)) for value in rows[0]]
