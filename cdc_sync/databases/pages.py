"""A table's rows in the order of what tells them apart, a page at a time: no transaction has to be long.

A place in that order is a row's own columns as the database encoded them, so that no value changes on its way out and
back in, whatever its type.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from cdc_sync.core import wire
from cdc_sync.core.change import Column, Kind, Table
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases.base import Session, Target

PLACE = "cdc_sync_place"


def told_apart(table: Table, names: Sequence[str]) -> list[Column]:
    """The columns of these names, in their order."""
    return [column for name in names for column in table.columns if column.name == name]


def stage(
    session: Session,
    name: str,
    table: Table,
    names: Sequence[str],
    parts: Iterable[PartRows],
    *,
    numbered: bool = False,
) -> sa.TableClause:
    """A temporary table of rows of these columns (``i0``...), typed like the table's own; ``numbered`` adds ``n``."""
    columns = told_apart(table, names)
    staged = [Staged(f"i{i}", column.kind, column.name) for i, column in enumerate(columns)]
    targets = [Target(table=table.name, column=c.name, declared=c.declared, kind=c.kind) for c in columns]
    if numbered:
        staged.append(Staged("n", Kind.INTEGER))
        targets.append(Target(table=table.name, column="", declared="bigint", kind=Kind.INTEGER))
    definitions = [(s.name, t.declared) for s, t in zip(staged, targets, strict=True)]
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


def split(part: PartRows) -> Sequence[Sequence[Any]]:
    """A part's rows as values, each as it was encoded."""
    if part.encoding == "rows":
        return wire.unpack_rows(part.data)
    return [line.split(b"\t") for line in part.data.splitlines()]


def join(encoding: wire.Encoding, rows: Sequence[Sequence[Any]]) -> PartRows:
    """The opposite of ``split``; a number among the values is given as one."""
    if encoding == "rows":
        return PartRows(encoding=encoding, data=wire.pack_rows(rows))
    lines = [b"\t".join(value if isinstance(value, bytes) else str(value).encode() for value in row) for row in rows]
    return PartRows(encoding=encoding, data=b"".join(line + b"\n" for line in lines))
