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


def chains(events: Iterable[Event]) -> Mapping[int, int]:
    """``seq`` of each change to the ``seq`` of the first change of the same row, for rows whose identity moved.

    Changes must come in order of ``seq``. Several rows can stand at one identity for a while, because a statement such
    as ``update t set id = id + 1`` is logged row by row: whoever stood there first leaves first.
    """
    standing: defaultdict[Identity, deque[int]] = defaultdict(deque)
    found: dict[int, int] = {}
    for event in events:
        here = standing[event.identity if event.was is None else event.was]
        if not here:
            here.append(event.seq)
        row = here[0]
        if event.was is not None and event.was != event.identity:
            here.popleft()
            standing[event.identity].append(row)
        found[event.seq] = row
        if event.op == "D":
            here.popleft()
    return found
