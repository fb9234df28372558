"""The road over HTTP: batches go to another node's ``cdc-sync serve``, which applies them, or are fetched there."""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO

from cdc_sync.core import frames, limits, talk, wire
from cdc_sync.core import receipts as core
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Receipt, Signed
from cdc_sync.core.renames import Renames
from cdc_sync.core.wire import Sealed, Section
from cdc_sync.errors import Deferred, RejectedReceipt, TooLarge
from cdc_sync.transports import Chain, Offered, Stream
from cdc_sync.transports.flow import Flow
from cdc_sync.transports.http import Line, plain

WAIT = 25
"""Seconds that the server keeps an answer back while it applies."""

IDLE = 60.0
"""Seconds without any batch applied after which it is left to itself."""

AT_ONCE = 200
"""Receipts that are brought by one request."""

REST = 300.0
"""Seconds without streams after one that came to nothing: over a slow network it costs what it sent in vain."""

SPOOL = 1024 * 1024
"""Bytes of a fetched batch that are held in memory; the rest stands in a temporary file."""


class _Road:
    def __init__(self, line: Line, take: Callable[[Signed], None]) -> None:
        self._line = line
        self._take = take

    def close(self) -> None:
        self._line.close()

    def receipts(self) -> Sequence[Signed]:
        return self._line.ask("GET", "/v1/receipts", talk.Receipts).receipts

    def bring(self, signed: Sequence[Signed]) -> None:
        for i in range(0, len(signed), AT_ONCE):
            taken = self._line.ask("POST", "/v1/receipts", talk.Taken, list(signed[i : i + AT_ONCE]))
            for refused in taken.refused:
                raise RejectedReceipt(
                    f"{self._line.there.where} answers: {plain(refused.error)}", hint=plain(refused.hint)
                )


class Remote(_Road):
    """A destination. ``take`` keeps a receipt that it signed, unless it says what the last one said."""

    def __init__(self, line: Line, take: Callable[[Signed], None]) -> None:
        super().__init__(line, take)
        self._rows: dict[int, int] = {}
        self._streams_from = 0.0
        self._taken: dict[tuple[str, str], Position] = {}

    def fit(self, offered: Offered, where: str) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        offer = talk.Offer(shapes=offered.shapes, captured=offered.captured, renames=offered.renames.tables)
        fit = self._line.ask("POST", "/v1/fit", talk.Fit, offer)
        return [(each.table, each.column) for each in fit.left_out]

    def call(self, origin: str, renames: Renames) -> None:
        if origin == self._line.node:
            self._line.ask("PUT", "/v1/names", talk.Names, talk.Names(renames=renames.tables))

    def receipt(self, origin: str, epoch: str) -> Position:
        return self._told(origin, epoch)[0].position

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> Stream | None:
        if time.monotonic() < self._streams_from or not self._line.ticket.streams:
            return None
        return Flow(self._line, after, shapes, sections, self._rest)

    def _rest(self) -> None:
        self._streams_from = time.monotonic() + REST

    def send(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        header = wire.decode_header(sealed.header)
        size, most = sum(part.size for part in header.parts), self._line.ticket.largest_batch
        if size > most:
            raise TooLarge(
                f"batch {header.number} has {size} bytes; {self._line.there.where} takes {most}",
                hint=f"ask the DBA of {self._line.there.name} to raise largest_batch under [serve]",
            )
        path = f"/v1/batches/{header.node}/{header.epoch}/{header.number}"
        whole = frames.size(sealed, header)
        again = iter(parts) is not parts
        self._line.send(path, whole, lambda: frames.write(sealed, parts), talk.Stored, again)
        self._rows[header.number] = header.rows

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool:
        return self._line.ask("GET", f"/v1/digests/{origin}/{epoch}/{number}", talk.Digest).digest == digest

    def apply(self, origin: str, epoch: str, progress: Callable[[int], None]) -> Position:
        """Waits while the server applies. Raises Deferred where it says that it cannot."""
        receipt, told = self._told(origin, epoch)
        moved = time.monotonic()
        progress(self._done(receipt.applied))
        while receipt.applied < receipt.stored and self._line.ticket.applies and time.monotonic() < moved + IDLE:
            seen = receipt.applied
            receipt, told = self._told(origin, epoch, wait=WAIT)
            if receipt.applied > seen:
                progress(self._done(receipt.applied))
                moved = time.monotonic()
            elif told.trouble:
                raise self._cannot(receipt, told.trouble)
        return receipt.position

    def _done(self, applied: int) -> int:
        """Rows of batches that were sent over this road and are applied now, each told once."""
        return sum(self._rows.pop(number) for number in list(self._rows) if number <= applied)

    def _cannot(self, receipt: Receipt, trouble: talk.Refusal) -> Deferred:
        there = self._line.there
        return Deferred(
            f"{there.where} has stored batch {receipt.stored}, and cannot apply batch {receipt.applied + 1}: "
            f"{plain(trouble.error)}",
            hint=f"{there.name} says: {plain(trouble.hint)}",
        )

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]:
        return self._told(origin, epoch)[1].aside

    def _told(self, origin: str, epoch: str, wait: int = 0) -> tuple[Receipt, talk.Receipts]:
        """What the server says of a chain now, in its own signed words, and what it says besides."""
        query = {"wait": wait} if wait else {}
        told = self._line.ask("GET", f"/v1/receipts/{origin}/{epoch}", talk.Receipts, **query)
        there = self._line.there
        for signed in told.receipts:
            receipt = core.read(signed)
            if (receipt.giver, receipt.origin, receipt.epoch) == (there.name, origin, epoch):
                core.verify(signed, there.key)
                self._keep(signed, receipt.position)
                return receipt, told
        raise RejectedReceipt(f"{there.where} gives no receipt of its own", hint="upgrade cdc-sync on the older side")

    def _keep(self, signed: Signed, position: Position) -> None:
        chain = position.origin, position.epoch
        if self._taken.get(chain) != position:
            self._take(signed)
            self._taken[chain] = position


class RemoteOffer(_Road):
    """A source, from which batches are fetched."""

    def __init__(self, line: Line, take: Callable[[Signed], None]) -> None:
        super().__init__(line, take)
        self._fetched: IO[bytes] | None = None

    def close(self) -> None:
        self._drop()
        super().close()

    def offers(self) -> Sequence[Chain]:
        return [
            Chain(origin=held.origin, epoch=held.epoch, first=held.first, last=held.last, digest=held.digest)
            for held in self._line.ask("GET", "/v1/positions", talk.Positions).held
        ]

    def fetch(self, origin: str, epoch: str, number: int) -> Frame:
        """All of it is here before anything of it is given: no database waits for the network."""
        self._drop()
        self._fetched = file = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115
        most = limits.CARRIED.batch + limits.CARRIED.header
        self._line.fetch(f"/v1/batches/{origin}/{epoch}/{number}", file, most)
        file.seek(0)
        return frames.read_one(file.read)

    def _drop(self) -> None:
        if self._fetched is not None:
            self._fetched.close()
            self._fetched = None
