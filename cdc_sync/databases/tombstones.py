"""Tombstones: rows that went, by natural key, of tables where the newest change wins.

An older write may arrive after them, and where no row is there is no version that it could be older than.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from cdc_sync.databases import images
from cdc_sync.databases.base import Session

MANY = 2_000
"""Rows that are written down or looked up at a time."""

Item = TypeVar("Item")

_written = json.JSONEncoder(ensure_ascii=False).encode

Gone = tuple[str, Sequence[object]]
"""When a row went (as ISO 8601 text in UTC), and the leaves of its natural key."""


def bury(session: Session, table: str, origin: str, rows: Iterable[Gone]) -> None:
    """Remember that rows went, by whose doing and when. Keys in order: two that bury the same never wait in a ring.

    ``table`` is its one name in this database (``Table.called``). A key with a leaf that is not known is nobody's.
    """
    bury_keys(session, table, origin, ((at, key_of(leaves)) for at, leaves in rows if None not in leaves))


def bury_keys(session: Session, table: str, origin: str, rows: Iterable[tuple[str, str]]) -> None:
    """The same for natural keys as ``key_of`` writes them."""
    latest: dict[str, str] = {}
    for at, key in rows:
        latest[key] = max(at, latest.get(key, ""))
    for some in batched(sorted(latest.items()), MANY):
        graves = _written(some)
        session.run("tombstone_add", table_name=table, origin=origin, graves=graves)


def buried(session: Session, table: str, origin: str, rows: Iterable[tuple[int, Sequence[object]]]) -> dict[int, str]:
    """When those of the rows (number and leaves of each) went that are not here, by others' doing than the origin's."""
    found: dict[int, str] = {}
    if not session.run("tombstones_lie", table_name=table)[0][0]:
        return found
    for some in batched(rows, MANY):
        keys = [(number, key_of(leaves)) for number, leaves in some]
        asked = _written([key for _, key in keys])
        graves = dict(session.run("tombstones", table_name=table, origin=origin, row_keys=asked))
        found |= {number: graves[key] for number, key in keys if key in graves}
    return found


def key_of(leaves: Sequence[object]) -> str:
    """A natural key as text."""
    return _written([images.shown(value) for value in leaves])


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
