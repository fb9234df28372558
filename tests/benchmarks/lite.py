"""SQLite files to measure on: WAL and synchronous=NORMAL, as field applications set them."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.table import MOVE_ALL, SUMMARY, UPDATE_ALL, VISIT, Row, Table

TRANSACTION = 1_000
"""Rows that an application writes in one transaction."""


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit; transactions are begun by hand."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        yield connection


def create(path: Path, table: Table = VISIT) -> Path:
    """A new file with the empty table."""
    return create_all(path, table.sqlite)


def create_all(path: Path, script: str) -> Path:
    """A new file in which the script was run."""
    with connected(path) as connection:
        connection.executescript(script)
    return path


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@dataclass(frozen=True, slots=True)
class Workload:
    """A statement for each row from a first to a last id, by key."""

    text: str
    parameters: Callable[[int, int], Iterable[Row]]

    def run(self, connection: sqlite3.Connection, first: int, last: int) -> None:
        write(connection, self.text, self.parameters(first, last))


def write(connection: sqlite3.Connection, text: str, parameters: Iterable[Row]) -> None:
    """One transaction."""
    connection.execute("begin immediate")
    connection.executemany(text, parameters)
    connection.execute("commit")


def workloads(table: Table) -> dict[str, Workload]:
    """In an order in which each finds the rows that it needs; the last leaves none."""
    return {
        "insert": Workload(table.insert("?"), table.rows),
        "update": Workload(f"{UPDATE_ALL} where id = ?", _ids),
        "replace": Workload(table.insert("?", "insert or replace"), table.rows),
        "update of the key": Workload(f"{MOVE_ALL} where id = ?", _ids),
        "delete": Workload("delete from t where id = -?", _ids),
    }


def _ids(first: int, last: int) -> Iterator[Row]:
    return ((i,) for i in range(first, last + 1))


def insert(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Insert visits in one transaction."""
    workloads(VISIT)["insert"].run(connection, first, last)


def spans(count: int, size: int = TRANSACTION) -> Iterator[tuple[int, int]]:
    """First and last id of each transaction."""
    for first in range(1, count + 1, size):
        yield first, min(first + size - 1, count)


def backlog(path: Path, name: str, count: int) -> None:
    """Run a workload over visits 1 to ``count``."""
    workload = workloads(VISIT)[name]
    with connected(path) as connection:
        for first, last in spans(count):
            workload.run(connection, first, last)


def write_all(path: Path, transactions: Iterable[Sequence[tuple[str, Mapping[str, int]]]]) -> None:
    """Run transactions of statements whose ``{name}`` are bound."""
    with connected(path) as connection:
        for statements in transactions:
            connection.execute("begin immediate")
            for text, bounds in statements:
                connection.execute(text.format(**{name: f":{name}" for name in bounds}), bounds)
            connection.execute("commit")


def summary(path: Path, query: str = SUMMARY) -> list[float]:
    """Enough to see that a target has what its source has."""
    with connected(path) as connection:
        return [float(value or 0) for value in connection.execute(query).fetchone()]
