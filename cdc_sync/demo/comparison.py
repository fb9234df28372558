"""What differs between two sets of rows: by natural key for the proof, by local id to tell what somebody did."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cdc_sync.errors import CdcSyncError

BUG = "please report this as a bug"
"""The hint where the server does not hold what it should."""

Key = tuple[str, ...]
"""A table's name and a row's natural key, parents' keys first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: its id in the database it was read from, its natural key, and every other column."""

    table: str
    id: int
    key: Key
    values: tuple[Any, ...]

    @property
    def place(self) -> Key:
        return (self.table, *self.key)

    @property
    def noun(self) -> str:
        """What people call it: subject, visit, requisition."""
        return self.table.rpartition("_")[2]

    @property
    def own(self) -> tuple[Any, ...]:
        """What stands in the row itself: a parent's new key does not change it."""
        return (self.key[-1], *self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How many rows were expected, and which of them are not as they should be."""

    compared: int
    missing: tuple[Key, ...]
    extra: tuple[Key, ...]
    different: tuple[Key, ...]

    def __str__(self) -> str:
        return (
            f"compared {self.compared} rows by natural key: "
            f"{len(self.missing)} missing, {len(self.extra)} extra, {len(self.different)} different"
        )

    def check(self) -> None:
        """Raises CdcSyncError where anything is missing, extra or different."""
        if self.missing or self.extra or self.different:
            raise CdcSyncError(f"the server does not hold what it should: {self}", hint=BUG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What somebody did to one row: ``before`` is None for a new row, ``after`` for a deleted one."""

    before: Row | None
    after: Row | None

    @property
    def word(self) -> str:
        """added, deleted, corrected (the row's own part of the natural key) or changed."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "deleted"
        return "corrected" if self.before.key[-1] != self.after.key[-1] else "changed"


def compare(expected: Iterable[Row], found: Iterable[Row]) -> Comparison:
    """Compare all columns but ids; a row is looked for under its table and natural key."""
    wanted = {row.place: row.values for row in expected}
    there = {row.place: row.values for row in found}
    return Comparison(
        compared=len(wanted),
        missing=tuple(sorted(wanted.keys() - there.keys())),
        extra=tuple(sorted(there.keys() - wanted.keys())),
        different=tuple(sorted(key for key in wanted.keys() & there.keys() if wanted[key] != there[key])),
    )


def edits(before: Iterable[Row], after: Iterable[Row]) -> Iterator[Edit]:
    """What was done to one database's rows, found by their ids there."""
    old = {(row.table, row.id): row for row in before}
    new = {(row.table, row.id): row for row in after}
    for place in [*old, *(place for place in new if place not in old)]:
        was, now = old.get(place), new.get(place)
        if was is None or now is None or was.own != now.own:
            yield Edit(before=was, after=now)
