"""One transaction on one connection, and how statements are run in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from cdc_sync.databases import sqlfiles

if TYPE_CHECKING:
    from cdc_sync.databases.base import Database


@cache
def _clause(statement: str) -> tuple[sa.TextClause, tuple[str, ...]]:
    """A statement with bind parameters, and their names. Kept: compiling costs 0.3 ms, some 40 a round."""
    clause = sa.text(statement)
    return clause, tuple(clause.compile().params)


class Session:
    """One transaction on one connection."""

    def __init__(self, database: "Database", connection: sa.Connection) -> None:
        self.database = database
        self.connection = connection

    def run(self, name: str, holes: Mapping[str, str] | None = None, /, **binds: object) -> list[tuple[Any, ...]]:
        """Run ``sql/<database>/<name>.sql``; returns its last statement's rows, if that statement makes rows."""
        rows: list[tuple[Any, ...]] = []
        if binds:
            holes = {hole: value.replace(":", "\\:") for hole, value in (holes or {}).items()}
        for statement in self.database.statements(sqlfiles.fill(self.database.text(name), holes or {})):
            rows = self._execute(statement, binds)
        return rows

    def run_many(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a ``.sql`` file of one statement once for each row of bind parameters."""
        if rows:
            (statement,) = self.database.statements(sqlfiles.fill(self.database.text(name), {}))
            with self.database.translated():
                self.connection.execute(_clause(statement)[0], rows)

    def fill(self, name: str, holes: Mapping[str, str], **binds: object) -> list[tuple[Any, ...]]:
        """``run`` with those of the holes that the file has."""
        return self.run(name, sqlfiles.needed(self.database.text(name), holes), **binds)

    def _execute(self, statement: str, binds: Mapping[str, object]) -> list[tuple[Any, ...]]:
        with self.database.translated():
            if binds:
                clause, wanted = _clause(statement)
                result = self.connection.execute(clause, {key: binds[key] for key in wanted})
            else:
                result = self._plain(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def script(self, text: str) -> None:
        """Run several statements that take no bind parameters."""
        for statement in self.database.statements(text):
            with self.database.translated():
                self._plain(statement)

    def execute(self, statement: sa.UpdateBase) -> int:
        """Run a generated statement; returns how many rows it touched."""
        with self.database.translated():
            return self._plain(self.database.compile(statement)).rowcount

    def touch(self, name: str, holes: Mapping[str, str]) -> int:
        """Run a ``.sql`` file of one statement; returns how many rows it touched."""
        (statement,) = self.database.statements(sqlfiles.fill(self.database.text(name), holes))
        with self.database.translated():
            return self._plain(statement).rowcount

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A savepoint: where the block raises, nothing of it is left, and the transaction goes on."""
        with self.connection.begin_nested():
            yield

    def query(
        self, statement: sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        with self.database.translated():
            return [tuple(row) for row in self._plain(self.database.compile(statement))]

    def many(self, statement: sa.Executable, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a generated statement once for each row of bind parameters."""
        if rows:
            with self.database.translated():
                self.connection.execute(statement, rows)

    def _plain(self, statement: str) -> sa.CursorResult[Any]:
        return self.connection.execution_options(no_parameters=True).exec_driver_sql(statement)

    @property
    def driver(self) -> Any:
        """The driver's own connection, for what SQLAlchemy has no word for (COPY)."""
        return self.connection.connection.driver_connection
