"""SQLite files to measure on: WAL and synchronous=NORMAL, as field applications set them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.benchmarks import table

TRANSACTION = 1_000
"""Rows that an application writes in one transaction."""


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit; transactions are begun by hand."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        yield connection


def create(path: Path) -> Path:
    """A new file with the empty table."""
    with connected(path) as connection:
        connection.execute(table.SQLITE)
    return path


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def insert(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Insert rows in one transaction."""
    connection.execute("begin immediate")
    connection.executemany(table.INSERT_SQLITE, table.rows(first, last))
    connection.execute("commit")


def update(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Update rows one by one, by key, in one transaction."""
    connection.execute("begin immediate")
    connection.executemany("update t set weight = weight + 1 where id = ?", ((i,) for i in range(first, last + 1)))
    connection.execute("commit")


def delete(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Delete rows one by one, by key, in one transaction."""
    connection.execute("begin immediate")
    connection.executemany("delete from t where id = ?", ((i,) for i in range(first, last + 1)))
    connection.execute("commit")


WORKLOADS = {"insert": insert, "update": update, "delete": delete}


def spans(count: int) -> Iterator[tuple[int, int]]:
    """First and last id of each transaction."""
    for first in range(1, count + 1, TRANSACTION):
        yield first, min(first + TRANSACTION - 1, count)


def backlog(path: Path, workload: str, count: int) -> None:
    """Run a workload over rows 1 to ``count``."""
    with connected(path) as connection:
        for first, last in spans(count):
            WORKLOADS[workload](connection, first, last)


def count_and_weight(path: Path) -> list[float]:
    """Enough to see that a target has what its source has."""
    with connected(path) as connection:
        return [float(value or 0) for value in connection.execute(table.SUMMARY).fetchone()]
