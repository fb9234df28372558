"""Which changes of one batch belong to the same row, when rows changed the columns that tell them apart."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Identity = tuple[object, ...]


class Event(NamedTuple):
    """A change, reduced to where the row stood: ``was`` is its identity before a key change, else None."""

    seq: int
    op: str
    identity: Identity
    was: Identity | None


class _Row:
    """A row on its way; ``first`` is the seq of its first change in the batch, once there was one."""

    first: int | None = None


def chains(events: Iterable[Event]) -> Mapping[int, int]:
    """``seq`` of each change to the ``seq`` of the first change of the same row, for rows whose identity moved.

    Changes must come in order of ``seq``. Several rows can stand at one identity for a while, because a statement such
    as ``update t set id = id + 1`` is logged row by row: whoever stood there first leaves first.
    """
    ordered = list(events)
    standing: defaultdict[Identity, deque[_Row]] = defaultdict(deque)
    for identity in _occupied_before(ordered):
        standing[identity].append(_Row())
    found: dict[int, int] = {}
    for event in ordered:
        row = _follow(standing, event)
        row.first = event.seq if row.first is None else row.first
        found[event.seq] = row.first
    return found


def _follow(standing: defaultdict[Identity, deque[_Row]], event: Event) -> _Row:
    if event.op == "I":
        row = _Row()
        standing[event.identity].append(row)
        return row
    here = standing[event.identity if event.was is None else event.was]
    row = here[0]
    if event.op == "D":
        here.popleft()
    elif event.was is not None and event.was != event.identity:
        here.popleft()
        standing[event.identity].append(row)
    return row


def _occupied_before(events: Iterable[Event]) -> set[Identity]:
    """Where a row must have stood before the batch: more left a place, or stayed at it, than had come to it."""
    count: defaultdict[Identity, int] = defaultdict(int)
    before: set[Identity] = set()
    for event in events:
        here = event.identity if event.was is None else event.was
        if event.op != "I" and count[here] == 0:
            before.add(here)
            count[here] = 1
        if event.op == "I":
            count[here] += 1
        elif event.op == "D":
            count[here] -= 1
        elif here != event.identity:
            count[here] -= 1
            count[event.identity] += 1
    return before
