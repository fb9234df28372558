"""One module per transport behind one protocol. Transports move sealed bytes; none knows what a row is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.core.wire import Part, PartRows, Sealed, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What a node is going to send: its tables' shapes, which of them are captured, and what they are called there."""

    shapes: tuple[Shape, ...]
    captured: tuple[str, ...]
    renames: Renames


class Stream(AbstractContextManager["Stream"], Protocol):
    """A batch on its way while it is still being sealed. Leaving it unfinished undoes what it did."""

    def rows(self, rows: PartRows, part: Part, data: bytes) -> None:
        """Some rows of the batch, in the order of its parts: as they were read, and packed."""

    def complete(self) -> None:
        """These were all rows."""

    def finish(self, sealed: Sealed) -> bool:
        """The batch is sealed. True where it is stored and applied there now, False where it has to be sent."""


class Transport(Protocol):
    """The road to one destination. Stored and applied are different facts, and neither is ever assumed.

    A receipt is the position of this node's chain, as the destination tells it.
    """

    def close(self) -> None:
        """Leave the road."""

    def fit(self, offered: Offered, where: str) -> Sequence[tuple[str, str]]:
        """Tables and columns, by the destination's names, that it does not have; the columns are left out there.

        Raises SchemaMismatch, which calls the destination ``where``, unless it can take the rest.
        """

    def call(self, origin: str, renames: Renames) -> None:
        """From now on, what the origin sends goes to the tables and columns of these names."""

    def receipt(self, origin: str, epoch: str) -> Position:
        """How far the origin's batches have come there. Raises Unreachable where nobody answers."""

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> Stream | None:
        """Begin a batch ahead of its seal; None where this road takes sealed batches only.

        Nothing of it is written where the origin's chain has come elsewhere than to ``after``.
        """

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool | None:
        """Whether this very batch is stored there; None where this road brings no answer."""

    def send(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        """Returns once the batch is stored there; sending one again does no harm."""

    def apply(self, origin: str, epoch: str, progress: Callable[[int], None]) -> Position:
        """Have the origin's stored batches applied, where this end can ask for that; ``progress`` is told of rows."""

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]:
        """How many rows of the origin were put aside there, by what they wait for, where this end can ask for that."""

    def receipts(self) -> Sequence[Signed]:
        """Signed receipts that lie there, also by others and about others' chains: to be carried where they belong."""

    def bring(self, signed: Sequence[Signed]) -> None:
        """Hand over receipts about chains that are known there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A chain that somebody offers: batches ``first`` to ``last`` can be fetched; none where ``first`` is beyond.

    ``digest`` is that of batch ``last``.
    """

    origin: str
    epoch: str
    first: int
    last: int
    digest: bytes


class Offer(Protocol):
    """The road to one source, from which batches are fetched."""

    def close(self) -> None:
        """Leave the road."""

    def offers(self) -> Sequence[Chain]:
        """What can be fetched there. Raises Unreachable where nobody answers."""

    def fetch(self, origin: str, epoch: str, number: int) -> Frame:
        """One batch; its parts are read as they are asked for, before anything else is asked."""

    def receipts(self) -> Sequence[Signed]:
        """Signed receipts that lie there, as in ``Transport``."""

    def bring(self, signed: Sequence[Signed]) -> None:
        """Hand over receipts about the chains that are offered there."""
