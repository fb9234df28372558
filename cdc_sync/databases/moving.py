"""Rows that move from one view of a table to another and get another key with it: deleted there, inserted here.

Their origin says by their primary key that they are one row. It stays one: it gets the new key before anything else is
written, so that what hangs on it is not lost with a deletion.
"""

from typing import Any

import sqlalchemy as sa

from cdc_sync.databases.base import constant
from cdc_sync.databases.writing import Writer


def left(writer: Writer) -> sa.Select[*tuple[Any, ...]]:
    """Staged changes by which rows leave a view, with what tells the rows apart at their origin."""
    staged = writer.staging
    identity = [staged.c[writer.layout.value(c)].label(f"i{i}") for i, c in enumerate(_identity(writer))]
    return sa.select(staged.c.seq, *identity).where(staged.c.op == constant("D"))


def kept(writer: Writer) -> sa.TableClause:
    """Where these are kept, once their changes are not staged any more."""
    return sa.table(f"{writer.scratch}left", *(sa.column(c) for c in ("seq", *_places(writer))))


def going(writer: Writer) -> sa.TableClause:
    """Where rows of the target are kept that get another key: their locators, and the key."""
    locator = [f"l{i}" for i in range(len(writer.locator))]
    key = [f"n{i}" for i in range(len(writer.shapes[writer.name].key))]
    return sa.table(f"{writer.scratch}going", *(sa.column(c) for c in ("seq", *locator, *key)))


def pairs(writer: Writer, other: Writer) -> sa.Select[*tuple[Any, ...]]:
    """Rows of the target that leave one view and come in another, where nothing stands at their new key."""
    gone, mark, resolved, there = kept(writer), writer.mark, other.resolved(), other.target.alias()
    rows = mark.join(gone, gone.c.seq == mark.c.seq).join(other.staging, _same(gone, other))
    rows = rows.join(resolved, resolved.c.seq == other.staging.c.seq)
    free = sa.not_(sa.select(constant(1)).select_from(there).where(other.same_key(there, resolved)).exists())
    locator = [mark.c[f"l{i}"] for i in range(len(writer.locator))]
    key = [other.value(resolved, c).label(f"n{i}") for i, c in enumerate(other.shapes[other.name].key)]
    return (
        sa.select(mark.c.seq, *locator, *key)
        .select_from(rows)
        .where(mark.c.op == constant("D"), resolved.c.named == constant(1), free)
    )


def rename(writer: Writer) -> sa.Update:
    target, moved = writer.target, going(writer)
    key = {target.c[c]: moved.c[f"n{i}"] for i, c in enumerate(writer.shapes[writer.name].key)}
    return sa.update(target).values(key).where(writer.located(target, moved))


def forget(writer: Writer) -> sa.Delete:
    """Those rows do not go."""
    return sa.delete(writer.fate).where(writer.fate.c.seq.in_(sa.select(going(writer).c.seq)))


def together(
    writer: Writer, other: Writer, unit: sa.TableClause, others: sa.TableClause
) -> sa.Select[*tuple[Any, ...]]:
    """Units of rows that leave one view (``place``), each with that of the row that comes in the other (``other``)."""
    gone = left(writer).subquery("gone")
    rows = gone.join(unit, unit.c.seq == gone.c.seq).join(other.staging, _same(gone, other))
    rows = rows.join(others, others.c.seq == other.staging.c.seq)
    place = sa.func.max(others.c.place).label("other")
    return sa.select(unit.c.place, place).select_from(rows).group_by(unit.c.place)


def _same(gone: sa.FromClause, other: Writer) -> sa.ColumnElement[bool]:
    staged = other.staging.c
    same = (gone.c[i] == staged[other.layout.value(c)] for i, c in zip(_places(other), _identity(other), strict=True))
    return sa.and_(staged.op != constant("D"), *same)


def _identity(writer: Writer) -> tuple[str, ...]:
    return writer.shapes[writer.name].identity


def _places(writer: Writer) -> list[str]:
    return [f"i{i}" for i in range(len(_identity(writer)))]
