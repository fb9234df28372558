"""A table's rows in the order of what tells them apart, a page at a time: no transaction has to be long.

A place in that order is a row's own columns as the database encoded them, so that no value changes on its way out and
back in, whatever its type.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from cdc_sync.core.change import Column, Table
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases.base import Session, Target

PLACE = "cdc_sync_place"


def told_apart(table: Table, names: Sequence[str]) -> list[Column]:
    """The columns of these names, in their order."""
    return [column for name in names for column in table.columns if column.name == name]


def stage(session: Session, name: str, table: Table, names: Sequence[str], parts: Iterable[PartRows]) -> sa.TableClause:
    """A temporary table of rows of these columns (``i0``...), typed like the table's own."""
    columns = told_apart(table, names)
    staged = [Staged(f"i{i}", column.kind, column.name) for i, column in enumerate(columns)]
    targets = [Target(table=table.name, column=c.name, declared=c.declared, kind=c.kind) for c in columns]
    definitions = [(s.name, c.declared) for s, c in zip(staged, columns, strict=True)]
    made = session.database.create_staging(session, name, definitions)
    for part in parts:
        session.database.fill_staging(session, name, staged, targets, part)
    return made


def beyond(
    session: Session, live: sa.FromClause, table: Table, names: Sequence[str], place: bytes | None
) -> sa.ColumnElement[bool]:
    """The condition for rows after a place; for all that have one, where that is None."""
    columns = [live.c[name] for name in names]
    if place is None:
        return sa.and_(*(column.is_not(None) for column in columns))
    part = PartRows(encoding=session.database.encoding, data=place)
    staged = stage(session, PLACE, table, names, [part])
    there = sa.select(*staged.c).scalar_subquery()
    return columns[0] > there if len(columns) == 1 else sa.tuple_(*columns).op(">", is_comparison=True)(there)


def encoded(session: Session, query: sa.Select[*tuple[object, ...]]) -> bytes:
    """The one row of a query, as ``beyond`` takes it; empty where there is none."""
    return b"".join(chunk.data for chunk in session.database.read_rows(session, query))
