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

Gone = tuple[str, Sequence[object]]
"""When a row went (as ISO 8601 text in UTC), and the leaves of its natural key."""


def bury(session: Session, table: str, origin: str, rows: Iterable[Gone]) -> None:
    """Remember that rows went, by whose doing and when. Keys in order: two that bury the same never wait in a ring."""
    latest: dict[str, str] = {}
    for at, leaves in rows:
        if None not in leaves:
            key = _key(leaves)
            latest[key] = max(at, latest.get(key, ""))
    place = {"table_name": table, "origin": origin}
    session.run_many("tombstone_add", [{**place, "row_key": key, "at": at} for key, at in sorted(latest.items())])


def buried(session: Session, table: str, origin: str, rows: Iterable[tuple[int, Sequence[object]]]) -> dict[int, str]:
    """When those of the rows (number and leaves of each) went that are not here, by others' doing than the origin's."""
    found: dict[int, str] = {}
    if not session.run("tombstones_lie", table_name=table)[0][0]:
        return found
    for some in _batched(rows, MANY):
        keys = [(number, _key(leaves)) for number, leaves in some]
        asked = json.dumps([key for _, key in keys], ensure_ascii=False)
        graves = dict(session.run("tombstones", table_name=table, origin=origin, row_keys=asked))
        found |= {number: graves[key] for number, key in keys if key in graves}
    return found


def _key(leaves: Sequence[object]) -> str:
    return json.dumps([images.shown(value) for value in leaves], ensure_ascii=False)


def _batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
