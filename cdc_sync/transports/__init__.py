"""One module per transport behind one protocol. Transports move sealed bytes; none knows what a row is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from cdc_sync.core.wire import Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a destination says of one origin: batches stored and applied up to and including these numbers."""

    stored: int
    applied: int


class Transport(Protocol):
    """The road to one destination. Stored and applied are different facts, and neither is ever assumed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def receipt(self, origin: str, epoch: str) -> Receipt:
        """How far the origin's batches have come there. Raises Unreachable where nobody answers."""

    def send(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        """Returns once the batch is stored there; sending one again does no harm."""

    def apply(self, origin: str, epoch: str, progress: Callable[[int], None]) -> Receipt:
        """Have the origin's stored batches applied, where this end can ask for that; ``progress`` is told of rows."""
