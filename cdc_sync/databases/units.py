"""Units: everything that staged changes say about one row, numbered in the order in which units can be written.

Rows that live on come first, parents before children; then rows that go, children before parents.
"""

from typing import Any

import sqlalchemy as sa

from cdc_sync.databases.base import constant
from cdc_sync.databases.writing import Writer


def spans(writer: Writer) -> sa.Subquery:
    """Each staged change (``seq``) with the first of its unit, and whether the row lives in the end (1 or 0)."""
    staged, row = writer.staging.c, writer.row_columns(writer.staging)
    first = sa.func.min(staged.seq).over(partition_by=row)
    last = sa.func.max(staged.seq).over(partition_by=row)
    alive = sa.func.max(sa.case((staged.op != constant("D"), staged.seq))).over(partition_by=row)
    lives = sa.case((last == alive, constant(1)), else_=constant(0))
    return sa.select(staged.seq, first.label("first"), lives.label("lives")).subquery("spans")


def count(writer: Writer) -> sa.Select[*tuple[Any, ...]]:
    """How many units live on, and how many go."""
    found = spans(writer)
    return sa.select(found.c.lives, sa.func.count(found.c.first.distinct())).group_by(found.c.lives)


def places(writer: Writer, lives_from: int, goes_from: int) -> sa.Select[*tuple[Any, ...]]:
    """Each staged change with its unit's place; both counts begin after the given place."""
    found = spans(writer)
    place = sa.func.dense_rank().over(partition_by=found.c.lives, order_by=found.c.first)
    begin = sa.case((found.c.lives == constant(1), constant(lives_from)), else_=constant(goes_from))
    return sa.select(found.c.seq, (begin + place).label("place")).select_from(found)
