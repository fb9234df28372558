"""A view seen over its base: what the base's changes say of the view's rows, and the rows that it shows now.

Columns that the view takes as they are stay columns, so that indexes serve. What it works out is only asked where the
row is shown: a view that divides where its condition lets nothing but numbers from 1 pass would fail on the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cdc_sync.core import views
from cdc_sync.core.change import View
from cdc_sync.core.plan import SyncedTable
from cdc_sync.databases.base import Database, Tracked
from cdc_sync.databases.sqlfiles import quote

NOW, BEFORE = "cdc_sync_now", "cdc_sync_before"
"""Whether the view shows the row after a change, and whether it did before a change of watched columns."""

_ROW = "cdc_sync_row"
"""The base, or its change table, in the queries made here."""

Column = Callable[[str], str]


def apart(tracked: Tracked) -> tuple[str, ...]:
    """The columns, in a view's changes and rows, that tell its base's rows apart whether or not the view shows them."""
    return tuple(f"cdc_sync_apart_{i}" for i in range(len(tracked.stored.shape.identity)))


def belongs(view: View, settings: SyncedTable, kind: str, column: Column) -> str:
    """The condition for rows of the base that are sent as the view's: those that it shows and its own filter passes.

    ``column`` gives the text that stands for a column of the base.
    """
    conditions = [views.render(view.condition, kind, column, view.base)] if view.condition else []
    if settings.where:
        from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few files have a filter

        shown = dict(view.expressions)
        conditions.append(
            filters.render(
                settings.where,
                settings.name,
                kind,
                lambda name: f"({views.render(shown[name], kind, column, view.base)})",
            )
        )
    return " and ".join(f"({condition})" for condition in conditions) or "1 = 1"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row of the base: its columns as SQLAlchemy knows them, and as text."""

    tracked: Tracked
    kind: str
    rows: sa.FromClause
    names: Mapping[str, str]

    def text(self, base: str) -> str:
        return f"{_ROW}.{quote(self.names[base])}"

    @property
    def view(self) -> View:
        return self.tracked.table.shown

    def belongs(self) -> sa.ColumnElement[bool]:
        text = belongs(self.view, self.tracked.settings, self.kind, self.text)
        return sa.func.coalesce(sa.literal_column(f"({text})", sa.Boolean), sa.false())

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """One of the view's columns."""
        plain = dict(self.view.plain)
        if name in plain:
            return self.rows.c[self.names[plain[name]]]
        text = views.render(dict(self.view.expressions)[name], self.kind, self.text, self.view.base)
        return sa.case((self.belongs(), sa.literal_column(f"({text})")))


def _label(column: sa.ColumnElement[Any], name: str) -> sa.Label[Any]:
    return column.label(sa.quoted_name(name, quote=True))


def live(database: Database, tracked: Tracked) -> sa.Subquery:
    """The view's rows as they stand, those that its own filter passes."""
    base = tracked.stored
    rows = database.table(base.table).alias(_ROW)
    seen = _Seen(tracked, database.kind, rows, {name: name for name in base.table.names})
    columns: list[sa.ColumnElement[Any]] = [_label(seen.column(name), name) for name in tracked.shape.names]
    hidden = [_label(rows.c[c], name) for c, name in zip(base.shape.identity, apart(tracked), strict=True)]
    return sa.select(*columns, *hidden).where(seen.belongs()).subquery("cdc_sync_view")


def change(tracked: Tracked, database: Database, changes: sa.TableClause, own: tuple[str, ...]) -> sa.Subquery:
    """The changes of a view's base (``changes``), as changes of the view; ``own`` are the columns that are ours."""
    base = tracked.stored
    rows = changes.alias(_ROW)
    old = dict(zip(base.watched, base.old, strict=True))
    now = _Seen(tracked, database.kind, rows, {name: name for name in base.shape.names})
    before = _Seen(tracked, database.kind, rows, old)
    seq, op, *rest = own
    changed = [rows.c[name].is_distinct_from(rows.c[was]) for name, was in old.items()]
    happened = database.op(rows.c[op], sa.or_(sa.false(), *changed)).label(op)
    columns: list[sa.ColumnElement[Any]] = [rows.c[seq], happened, *(rows.c[c] for c in rest)]
    columns += [_label(now.column(name), name) for name in tracked.shape.names]
    columns += [_label(before.column(n), was) for n, was in zip(tracked.watched, tracked.old, strict=True)]
    columns += [_label(rows.c[c], name) for c, name in zip(base.shape.identity, apart(tracked), strict=True)]
    columns += [now.belongs().label(NOW), before.belongs().label(BEFORE)]
    return sa.select(*columns).subquery("cdc_sync_seen")


def count(database: Database, tracked: Tracked, condition: str) -> sa.Select[*tuple[Any, ...]]:
    """How many rows of a view's base the condition chooses."""
    rows = database.table(tracked.table.stored)
    return sa.select(sa.func.count()).select_from(rows).where(sa.literal_column(f"({condition})", sa.Boolean))


def chosen(database: Database, tracked: Tracked, condition: str) -> sa.Select[*tuple[Any, ...]]:
    """What a note holds of rows of a view's base, of those that the condition chooses."""
    base = database.table(tracked.table.stored)
    columns = [base.c[name].label(f"i{i}") for i, name in enumerate(tracked.noted)]
    return sa.select(*columns).where(sa.literal_column(f"({condition})", sa.Boolean))
