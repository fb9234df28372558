"""The node's synced tables, as a seal reads them; it lives for as long as nothing about them changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa

from cdc_sync.core.change import Shapes
from cdc_sync.databases.base import Database, Tracked, constant

Statement = TypeVar("Statement", bound=sa.ClauseElement)

OWN = ("cdc_sync_seq", "cdc_sync_op", "cdc_sync_captured_at")


@dataclass(frozen=True, kw_only=True)
class Source:
    """The node's synced tables: their shapes, their tables, and how those are captured that are.

    ``reread`` are tables whose waiting changes do not hold all of their columns; ``paused`` ones capture nothing now.
    ``reacting`` says of tables whether something of the application's writes when they are written, once it was asked.
    """

    database: Database
    shapes: Shapes
    tables: Mapping[str, sa.TableClause]
    tracked: Mapping[str, Tracked]
    reread: frozenset[str] = frozenset()
    paused: frozenset[str] = frozenset()
    reacting: dict[str, bool] = field(default_factory=dict)
    _statements: dict[str, Any] = field(default_factory=dict)

    def kept(self, what: str, build: Callable[[], Statement]) -> Statement:
        """A statement that is the same as long as the tables are; building one costs more than it takes on few rows."""
        if what not in self._statements:
            self._statements[what] = build()
        statement: Statement = self._statements[what]
        return statement

    def change(self, name: str) -> sa.TableClause:
        return self.database.change_table(
            self.tracked[name].change, (*OWN, *self.shapes[name].names, *self.tracked[name].old)
        )

    def watched(self, name: str) -> tuple[str, ...]:
        return self.tracked[name].watched

    def old(self, name: str) -> dict[str, str]:
        """Watched column to the change table's column that keeps its value from before a key change."""
        return dict(zip(self.watched(name), self.tracked[name].old, strict=True))

    @cached_property
    def waiting(self) -> sa.Select[*tuple[Any, ...]]:
        """One row if any change is captured that is not sealed."""
        found = []
        for name, tracked in self.tracked.items():
            change = self.change(name)
            unsealed = self.database.unsealed(change, tracked.change)
            found.append(sa.select(constant(1)).select_from(change).where(unsealed).exists())
        return sa.select(constant(1)).where(sa.or_(*found))

    def passes(self, name: str, column: Callable[[str], str]) -> sa.ColumnElement[bool] | None:
        """The table's row filter, if it has one; ``column`` gives the quoted text that stands for a column."""
        where = self.tracked[name].settings.where if name in self.tracked else ""
        if not where:
            return None
        from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few files have a filter

        text = filters.render(where, name, self.database.kind, column)
        condition: sa.ColumnElement[bool] = sa.literal_column(f"({text})")
        return sa.func.coalesce(condition, sa.false())
