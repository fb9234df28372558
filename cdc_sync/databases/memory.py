"""What was read of a database's catalogue, kept for as long as the catalogue says that nothing has changed.

A round reads how its tables are made several times. Under steady traffic that was most of the round: the reading costs
milliseconds, and the rows next to nothing.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cdc_sync.databases.base import Session

LASTING = 10.0
"""Seconds after which everything is read again: roles and rights have no mark."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Memory:
    mark: Hashable
    until: float
    found: Any


def recalled(session: Session, what: str, names: Sequence[str], read: Callable[[], Result], *more: Hashable) -> Result:
    """What ``read`` finds about tables of these names, or found last while the mark and ``more`` were the same."""
    memories = session.database.memories
    mark = (session.database.mark(session, names), *more)
    known = memories.get((what, *names))
    if isinstance(known, _Memory) and known.mark == mark and time.monotonic() < known.until:
        found: Result = known.found
        return found
    found = read()
    memories[(what, *names)] = _Memory(mark, time.monotonic() + LASTING, found)
    return found
