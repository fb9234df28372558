"""A connection to the destination's database: batches go into its inbox, and are applied over the same connection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.core.wire import Sealed, Section
from cdc_sync.transports import Offered, Stream


class Inbox(Protocol):
    """What the receiving rooms offer over a database connection."""

    def close(self) -> None: ...

    def fit(self, offered: Offered, where: str) -> Sequence[tuple[str, str]]: ...

    def call(self, origin: str, renames: Renames) -> None: ...

    def position(self, origin: str, epoch: str) -> Position: ...

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool: ...

    def store(self, sealed: Sealed, parts: Iterable[bytes]) -> None: ...

    def apply_next(self, origin: str, epoch: str) -> int | None:
        """Rows of the batch applied, or None where nothing waits."""

    def revive(self) -> None:
        """Try again what waits for something that may have come."""

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]: ...

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> Stream | None: ...

    def receipts(self) -> Sequence[Signed]: ...

    def bring(self, signed: Sequence[Signed]) -> None: ...


class Direct:
    """The road that is no road: both ends in one process."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    def close(self) -> None:
        self.inbox.close()

    def fit(self, offered: Offered, where: str) -> Sequence[tuple[str, str]]:
        return self.inbox.fit(offered, where)

    def call(self, origin: str, renames: Renames) -> None:
        self.inbox.call(origin, renames)

    def receipt(self, origin: str, epoch: str) -> Position:
        return self.inbox.position(origin, epoch)

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> Stream | None:
        return self.inbox.stream(after, shapes, sections)

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool:
        return self.inbox.holds(origin, epoch, number, digest)

    def send(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        self.inbox.store(sealed, parts)

    def apply(self, origin: str, epoch: str, progress: Callable[[int], None]) -> Position:
        while (rows := self.inbox.apply_next(origin, epoch)) is not None:
            progress(rows)
        self.inbox.revive()
        return self.receipt(origin, epoch)

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]:
        return self.inbox.waiting(origin, epoch)

    def receipts(self) -> Sequence[Signed]:
        return self.inbox.receipts()

    def bring(self, signed: Sequence[Signed]) -> None:
        self.inbox.bring(signed)
