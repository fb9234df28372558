"""How batches get to one destination, whoever sealed them, and what is told of it."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from cdc_sync import held
from cdc_sync.core.chain import Position
from cdc_sync.databases import Database
from cdc_sync.transports import Transport

SOON = 1.0
"""Seconds after which something is tried again for the first time."""

LONGEST_WAIT = 60.0
"""Seconds to wait at most before an unreachable destination is tried again."""


class Progress:
    """What a long drain tells whoever watches. The default tells nobody."""

    def waiting(self, rows: int) -> None:
        """So many changes are to be sent and applied."""

    def applied(self, rows: int) -> None:
        """So many more are applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How a chain stands at one destination: its receipt, and how many rows were put aside there, by state."""

    destination: str
    receipt: Position
    waiting: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """So many batches of an origin were fetched from a source."""

    source: str
    origin: str
    batches: int


def deliver(
    database: Database,
    road: Transport,
    receipt: Position,
    keep: Callable[[Position], Position],
    progress: Progress,
    *,
    final: bool,
) -> Position:
    """Send what follows the receipt, and have it applied where that can be asked for. ``keep`` is told of receipts.

    Where the destination is not ``final`` it only passes on: what is not held here any more is applied everywhere, and
    it does without.
    """
    origin, epoch, start = receipt.origin, receipt.epoch, receipt.stored
    if not final and (first := held.first(database, origin, epoch)) is not None:
        start = max(start, first - 1)
    for batch in held.after(database, origin, epoch, start):
        road.send(batch.sealed, _Parts(batch))
    keep(road.receipt(origin, epoch))
    return keep(road.apply(origin, epoch, progress.applied))


@dataclass(frozen=True, slots=True)
class _Parts:
    """A batch's parts, which can be read again where a connection breaks."""

    batch: held.Held

    def __iter__(self) -> Iterator[bytes]:
        return self.batch.parts()


class Turns:
    """When each thing has its next turn: at once, unless it was put off; the more often in a row, the later."""

    def __init__(self) -> None:
        self._next: dict[Hashable, tuple[float, float]] = {}

    def due(self, what: Hashable) -> bool:
        return what not in self._next or self._next[what][0] <= time.monotonic()

    def put_off(self, what: Hashable, soon: float = SOON, longest: float = LONGEST_WAIT) -> None:
        """Seconds for which it rests this time, and at most."""
        pause = min(self._next[what][1] * 2, longest) if what in self._next else soon
        self._next[what] = (time.monotonic() + pause, pause)

    def at_once(self, what: Hashable) -> None:
        self._next.pop(what, None)
