"""Which changes of one batch belong to the same row, when rows changed the columns that tell them apart."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cdc_sync.core.change import COMES

Identity = tuple[object, ...]


class Event(NamedTuple):
    """A change, reduced to where the row stood.

    ``was`` is its identity before a key change, else None. ``here`` and ``there`` say whether any row stands at
    ``identity`` and at ``was`` when the batch is sealed.
    """

    seq: int
    op: str
    identity: Identity
    was: Identity | None
    here: bool
    there: bool = False


class _Row:
    """A row on its way; ``first`` is the seq of its first change in the batch, once there was one."""

    first: int | None = None


def chains(events: Iterable[Event]) -> Mapping[int, int]:
    """``seq`` of each change to the ``seq`` of the first change of the same row, for rows whose identity moved.

    Changes must come in order of ``seq``. Several rows can stand at one identity for a while, because a statement such
    as ``update t set id = id + 1`` is logged row by row: whoever stood there first leaves first. An update at an
    identity where nobody stands is left out: a cascade within the statement logged it before its row had arrived, or
    after it had left, and the change that moved the row holds the same image or a later one.
    """
    ordered = list(events)
    standing: defaultdict[Identity, deque[_Row]] = defaultdict(deque)
    for identity in _occupied_before(ordered):
        standing[identity].append(_Row())
    found: dict[int, int] = {}
    for event in ordered:
        row = _follow(standing, event)
        if row is not None:
            row.first = event.seq if row.first is None else row.first
            found[event.seq] = row.first
    return found


def _follow(standing: defaultdict[Identity, deque[_Row]], event: Event) -> _Row | None:
    if event.op in COMES:
        standing[event.identity].append(_Row())
        return standing[event.identity][-1]
    here = standing[event.identity if event.was is None else event.was]
    if not here:
        return None
    row = here[0]
    if event.op == "D":
        here.popleft()
    elif event.was is not None and event.was != event.identity:
        here.popleft()
        standing[event.identity].append(row)
    return row


def _occupied_before(events: Iterable[Event]) -> set[Identity]:
    """Where a row stood before the batch: departures less arrivals, and one more where a row stands now."""
    count: defaultdict[Identity, int] = defaultdict(int)
    now: dict[Identity, bool] = {}
    for event in events:
        now[event.identity] = event.here
        if event.op in COMES:
            count[event.identity] -= 1
        elif event.op == "D":
            count[event.identity] += 1
        elif event.was is not None:
            now[event.was] = event.there
            count[event.was] += 1
            count[event.identity] -= 1
    return {identity for identity, stands in now.items() if count[identity] + stands > 0}
