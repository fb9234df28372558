"""The node's synced tables, as a seal reads them; it lives for as long as nothing about them changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import sqlalchemy as sa

from cdc_sync.core import views
from cdc_sync.core.change import Shapes, Table
from cdc_sync.databases import showing
from cdc_sync.databases.base import Database, Tracked, constant
from cdc_sync.databases.sqlfiles import quote

Statement = TypeVar("Statement", bound=sa.ClauseElement)

OWN = ("cdc_sync_seq", "cdc_sync_op", "cdc_sync_captured_at")
FOR = "cdc_sync_for"
"""Which table or view a note or a leaving row is about, where several share a change table."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The node's synced tables and views: their shapes, their rows as they stand, and how those are captured that are.

    ``sent`` are those that travel: not a base that is captured for its views only. ``reread`` are tables whose waiting
    changes do not hold all of their columns; ``paused`` ones capture nothing now.
    ``reacting`` says of tables whether something of the application's writes when they are written, once it was asked.
    """

    database: Database
    shapes: Shapes
    tables: Mapping[str, sa.FromClause]
    tracked: Mapping[str, Tracked]
    sent: frozenset[str] = frozenset()
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

    def change(self, name: str) -> sa.FromClause:
        """A table's changes; a view's, as its base's show them."""
        return self.kept(f"change {name}", lambda: self._change(name))

    def _change(self, name: str) -> sa.FromClause:
        tracked = self.tracked[name]
        base = tracked.stored
        changes = self.database.change_table(base.change, (*OWN, FOR, *base.shape.names, *base.old))
        if tracked is base:
            return changes
        return showing.change(tracked, self.database, changes, (*OWN, FOR))

    def apart(self, name: str) -> tuple[str, ...]:
        """The columns, in changes and rows, that tell rows apart where a note names them."""
        tracked = self.tracked[name]
        if tracked.base is None:
            return tracked.shape.identity
        return showing.apart(tracked)

    @property
    def captured(self) -> list[str]:
        """The tables that have a change table of their own: all but views."""
        return sorted(name for name, tracked in self.tracked.items() if tracked.base is None)

    def shared(self, name: str) -> bool:
        """Whether the changes are those of others, too."""
        change = self.tracked[name].change
        return any(other != name and tracked.change == change for other, tracked in self.tracked.items())

    def watched(self, name: str) -> tuple[str, ...]:
        return self.tracked[name].watched

    def old(self, name: str) -> dict[str, str]:
        """Watched column to the change table's column that keeps its value from before a key change."""
        return dict(zip(self.watched(name), self.tracked[name].old, strict=True))

    @cached_property
    def waiting(self) -> sa.Select[*tuple[Any, ...]]:
        """One row if any change is captured that is not sealed."""
        found = []
        for name in self.captured:
            change = self.change(name)
            unsealed = self.database.unsealed(change, self.tracked[name].change)
            found.append(sa.select(constant(1)).select_from(change).where(unsealed).exists())
        return sa.select(constant(1)).where(sa.or_(*found))

    def passes(self, name: str, column: Callable[[str], str]) -> sa.ColumnElement[bool] | None:
        """The row filter that the file gives a table or view, if it does; ``column`` gives the text that stands for a
        column.
        """
        where = self.tracked[name].settings.where if name in self.tracked else ""
        if not where:
            return None
        from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few files have a filter

        text = filters.render(where, name, self.database.kind, column)
        condition: sa.ColumnElement[bool] = sa.literal_column(f"({text})")
        return sa.func.coalesce(condition, sa.false())

    def sends(self, name: str, column: Callable[[str], str]) -> sa.ColumnElement[bool] | None:
        """The condition for rows of a table that are sent, or of a view's base that are sent as the view's.

        ``column`` gives the text that stands for a column of the table or of the base; None where all rows are.
        """
        tracked = self.tracked[name]
        if tracked.base is None:
            return self.passes(name, column)
        text = showing.belongs(tracked.table.shown, tracked.settings, self.database.kind, column)
        return sa.func.coalesce(sa.literal_column(f"({text})", sa.Boolean), sa.false())

    def spelt(self, name: str, of: str, column: Callable[[str], str]) -> str:
        """A column of a table, or of a view over its base, as text; ``column`` as in ``sends``."""
        table = self.tracked[name].table
        if table.view is None:
            return column(of)
        return f"({views.render(dict(table.view.expressions)[of], self.database.kind, column, table.stored)})"

    def seen(
        self, name: str, change: sa.FromClause, alias: str
    ) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]] | tuple[None, None]:
        """Whether the row is seen through the filter after a change, and was before it; nothing where there is none."""
        if self.tracked[name].base is not None:
            return change.c[showing.NOW], change.c[showing.BEFORE]
        old = self.old(name)
        now = self.passes(name, lambda column: f"{alias}.{quote(column)}")
        before = self.passes(name, lambda column: f"{alias}.{quote(old[column])}")
        return (None, None) if now is None or before is None else (now, before)


def rows_of(database: Database, table: Table, tracked: Tracked | None) -> sa.FromClause:
    """The rows of a table as they stand; of a view that is captured, over its base."""
    if tracked is None or tracked.base is None:
        return database.table(table)
    return showing.live(database, tracked)
