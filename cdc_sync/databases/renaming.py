"""Rows of the target that get another key, as statements: where they go, who stands there, and where that one waits."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from cdc_sync.core.keys import Plain, steps
from cdc_sync.databases.base import constant
from cdc_sync.databases.writing import Writer


class Renaming:
    """The keys of one table's marked rows."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.target, self.mark = writer.target, writer.mark
        self.key = writer.shapes[writer.name].key

    def _kept(self, name: str, *columns: str) -> sa.TableClause:
        return sa.table(f"{self.writer.scratch}{name}", *map(sa.column, (*self.writer.places, *columns)))

    @cached_property
    def moved(self) -> sa.TableClause:
        """Where renamed rows are to go: locator and the new values of the key columns."""
        return self._kept("moved", *(f"n{i}" for i in range(len(self.key))))

    @cached_property
    def way(self) -> sa.TableClause:
        """Rows that stand in the way of renamed ones."""
        return self._kept("way", "op")

    @cached_property
    def parked(self) -> sa.TableClause:
        """Where they are moved for a while."""
        return self._kept("parked", "spare")

    def keep_moves(self) -> sa.Select[*tuple[Any, ...]]:
        """Rows of the target that get another key, with the key that they get."""
        writer, resolved = self.writer, self.writer.resolved()
        key = [writer.value(resolved, c).label(f"n{i}") for i, c in enumerate(self.key)]
        locator = [self.mark.c[place] for place in writer.places]
        rows = self.mark.join(resolved, resolved.c.seq == self.mark.c.seq).join(
            self.target, writer.located(self.target, self.mark)
        )
        changed = [self.target.c[c].is_distinct_from(writer.value(resolved, c)) for c in self.key]
        return sa.select(*locator, *key).select_from(rows).where(sa.or_(*changed), resolved.c.named == constant(1))

    def keep_way(self) -> sa.Select[*tuple[Any, ...]]:
        """Rows at a key that a renamed row is to get: their locator, and what becomes of them (null: not known)."""
        writer = self.writer
        at_key = sa.and_(
            *(self.target.c[c] == self.moved.c[f"n{i}"] for i, c in enumerate(self.key)),
            *writer.pinned(writer.name, self.target),
        )
        fate = sa.select(sa.func.min(self.mark.c.op)).where(writer.located(self.target, self.mark)).scalar_subquery()
        locator = [self.target.c[c].label(f"l{i}") for i, c in enumerate(writer.locator)]
        rows = self.target.join(self.moved, at_key)
        return (
            sa.select(*locator, fate.label("op"))
            .select_from(rows)
            .where(sa.not_(writer.located(self.target, self.moved)))
        )

    def in_the_way(self) -> sa.Select[*tuple[Any, ...]]:
        """How many rows stand in the way, and how many of them the batch knows nothing about."""
        return sa.select(sa.func.count(), sa.func.count() - sa.func.count(self.way.c.op)).select_from(self.way)

    def spares(self) -> Iterator[tuple[str, sa.Select[*tuple[Any, ...]]]]:
        """Ways to park the rows in the way: a plain key column, and their locators with a spare value for it each."""
        writer = self.writer
        for step in steps(writer.shapes[writer.name]):
            described = writer.described[writer.name].column(step.column) if isinstance(step, Plain) else None
            if described is None:
                continue
            wanted = self.moved.c[f"n{self.key.index(described.name)}"]
            locator = [self.way.c[place] for place in writer.places]
            for spare in writer.free(described, wanted):
                yield described.name, sa.select(*locator, spare.label("spare")).select_from(self.way)

    def park(self, column: str) -> Iterator[sa.Update]:
        """Move rows out of the way, to keys of their own, and keep track of them where that changes their locator."""
        if column in self.writer.locator:
            place = f"l{self.writer.locator.index(column)}"
            for followed in (self.mark, self.moved):
                same = [followed.c[p] == self.parked.c[p] for p in self.writer.places]
                yield sa.update(followed).values({followed.c[place]: self.parked.c.spare}).where(*same)
        here = self.writer.located(self.target, self.parked)
        yield sa.update(self.target).values({self.target.c[column]: self.parked.c.spare}).where(here)

    def remove(self, *, living: bool) -> sa.Delete:
        """Delete the rows in the way; those that live on (``living``) will be inserted again."""
        here = self.writer.places_in(self.way)
        dead = here if living else here.where(self.way.c.op == constant("D"))
        return sa.delete(self.target).where(self.writer.among(dead))

    def rename(self) -> sa.Update:
        return (
            sa.update(self.target)
            .values({self.target.c[c]: self.moved.c[f"n{i}"] for i, c in enumerate(self.key)})
            .where(self.writer.located(self.target, self.moved))
        )
