"""Room for values that must be unique: rows of the batch that hold what another row is to get step aside first.

Two rows that exchange a phone number, or a row that gets the number of a deleted one, cannot be written one after the
other otherwise; which constraints are checked at once is the target's affair. Rows that the batch does not know stay
where they are: that is a conflict.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from cdc_sync.databases.base import constant
from cdc_sync.databases.writing import Writer


class Room:
    """What one unique key of the target needs, besides the natural key and the target's own primary key."""

    def __init__(self, writer: Writer, unique: tuple[str, ...]) -> None:
        self.writer = writer
        self.unique = unique

    @cached_property
    def aside(self) -> sa.TableClause:
        """The rows that step aside: their locators, and the spare value that each gets."""
        names = (*(f"l{i}" for i in range(len(self.writer.locator))), "spare")
        return sa.table(f"{self.writer.scratch}aside", *(sa.column(name) for name in names))

    def ways(self) -> Iterator[tuple[str, sa.Select[*tuple[Any, ...]]]]:
        """Ways to step aside, likely ones first: a column, and the rows with the value that it takes meanwhile."""
        shape, described = self.writer.shapes[self.writer.name], self.writer.described[self.writer.name]
        free = [
            c for c in described.columns if c.name in self.unique and c.name not in (*shape.key, *self.writer.locator)
        ]
        for column in free:
            if column.nullable:
                yield column.name, self._holders(sa.null())
        for column in free:
            for spare in self.writer.free(column, self.writer.value(self.writer.resolved(), column.name)):
                yield column.name, self._holders(spare)

    def _holders(self, spare: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
        """Rows that hold a value which a staged row of another key is to get, and that the batch deletes or changes.

        Joins all along: a correlated subquery has no index over what is staged.
        """
        writer, target = self.writer, self.writer.target
        coming, own = writer.resolved().alias("coming"), writer.resolved().alias("own")
        wanted = sa.and_(*(target.c[c] == writer.value(coming, c) for c in self.unique))
        rows = coming.join(target, sa.and_(wanted, sa.not_(writer.same_key(target, coming))))
        rows = rows.outerjoin(own, writer.same_key(target, own))
        goes: sa.ColumnElement[bool] = own.c.seq.is_not(None)
        if writer.layout.old:
            dead = sa.and_(writer.located(target, writer.mark), writer.mark.c.op == constant("D"))
            rows = rows.outerjoin(writer.mark, dead)
            goes = sa.or_(goes, writer.mark.c.op.is_not(None))
        locator = [target.c[c].label(f"l{i}") for i, c in enumerate(writer.locator)]
        holders = sa.select(*locator).select_from(rows).where(goes).distinct().subquery("holders")
        return sa.select(*holders.c, spare.label("spare")).select_from(holders)

    def step(self, column: str) -> sa.Update:
        target = self.writer.target
        return (
            sa.update(target)
            .values({target.c[column]: self.aside.c.spare})
            .where(self.writer.located(target, self.aside))
        )


class Detour(Room):
    """What unique keys need that hang on columns by an expression, a condition, a generated column or an operator.

    Nobody here can tell which row holds what another one is to get: every row that is about to be updated lets go of
    one such column, and then of the next, until they can all have what they are to get.
    """

    def __init__(self, writer: Writer) -> None:
        involved = writer.described[writer.name].involved
        super().__init__(writer, tuple(column for column in writer.written if column in involved))

    def _holders(self, spare: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
        writer, target = self.writer, self.writer.target
        resolved = writer.resolved()
        locator = [target.c[c].label(f"l{i}") for i, c in enumerate(writer.locator)]
        rows = target.join(resolved, writer.same_key(target, resolved))
        holders = sa.select(*locator).select_from(rows).where(resolved.c.whole == constant(1)).subquery("holders")
        return sa.select(*holders.c, spare.label("spare")).select_from(holders)
