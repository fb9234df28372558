"""What one client may take of the server's time and memory, however it behaves."""

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any

from cdc_sync.errors import CdcSyncError, TooLarge

PATIENCE = 30.0
"""Seconds in which a client has to send, or to take, something."""

SLOWEST = 256
"""Bytes a second that a body has to come with, counted from its beginning, after ``PATIENCE``: less than any modem."""

STRANGERS = 16 * 1024
"""Bytes of a body before it is known who sends it."""

TALK = 16 * 1024 * 1024
"""Bytes of a body that is no batch."""

UPLOADS, UPLOADS_OF_ONE = 48, 4
"""Batches that arrive at the same time: of all nodes, and of one."""

STREAMS = 3
"""Batches that are taken while they are sealed, at the same time: each holds a transaction, and rows in memory."""

IN_MEMORY = 256 * 1024
"""Bytes of an arriving batch that are held in memory; the rest stands in a temporary file."""

_BLOCK = 256 * 1024
_BUCKETS = 20_000

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Busy(CdcSyncError):
    """Too much at once; ``after`` are the seconds to wait."""

    def __init__(self, message: str, *, after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after = after


class Slow(CdcSyncError):
    """A client that does not go on, or has gone."""


class Rate:
    """So many requests a minute of each node or address, and as many at once after a minute's rest."""

    def __init__(self, a_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._now = now
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> None:
        """Count a request. Raises Busy for one too many."""
        now = self._now()
        at, left = self._left.pop(who, (now, float(self._a_minute)))
        left = min(left + (now - at) * self._a_minute / 60, self._a_minute)
        self._left[who] = (now, max(left - 1, 0.0) if left >= 1 else left)
        while len(self._left) > _BUCKETS:
            self._left.popitem(last=False)
        if left < 1:
            raise Busy(
                f"more than {self._a_minute} requests a minute were made",
                after=(1 - left) * 60 / self._a_minute,
                hint="wait a little; or raise requests_a_minute under [serve] there",
            )


def place(host: str) -> str:
    """Whose requests count together: an IPv4 address, or the network that one customer has of IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host


class Places:
    """Places for batches that arrive: so many for all nodes, so many for one, and seconds to wait for one of them."""

    def __init__(self, places: int, of_one: int, patience: float = PATIENCE) -> None:
        self._all = asyncio.Semaphore(places)
        self._of_one = of_one
        self._patience = patience
        self._of: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, node: str) -> AsyncIterator[None]:
        """Wait for a place. Raises Busy where a node has enough of them, or nothing becomes free."""
        if self._of[node] >= self._of_one:
            raise Busy(f"node {node!r} sends other batches already", after=1.0, hint="one at a time will do")
        self._of[node] += 1
        try:
            try:
                async with asyncio.timeout(self._patience):
                    await self._all.acquire()
            except TimeoutError:
                raise Busy("too many nodes send batches now", after=5.0, hint="it is tried again by itself") from None
            try:
                yield
            finally:
                self._all.release()
        finally:
            self._of[node] -= 1
            self._of += Counter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds in which a client has to go on, and bytes a second that it has to make in all, after those."""

    patience: float
    slowest: int


BODY = Pace(patience=PATIENCE, slowest=SLOWEST)
STREAM = Pace(patience=10.0, slowest=32 * 1024)
"""For batches that are taken while they are sealed: other nodes' rows may wait for theirs."""


async def pieces(receive: Receive, pace: Pace) -> AsyncIterator[bytes]:
    """A body as it comes. Raises Slow for a client that stops, crawls or goes."""
    loop = asyncio.get_running_loop()
    began, size = loop.time(), 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), pace.patience)
        except TimeoutError:
            raise Slow(
                f"nothing came for {pace.patience:.0f} seconds", hint="check the connection; try again"
            ) from None
        if message["type"] == "http.disconnect":
            raise Slow("the client went before its end")
        body = message.get("body", b"")
        if isinstance(body, bytes) and body:
            size += len(body)
            yield body
        if not message.get("more_body"):
            return
        if loop.time() - began > pace.patience + size / pace.slowest:
            raise Slow(f"fewer than {pace.slowest} bytes came in a second", hint="check the connection; try again")


async def body(receive: Receive, limit: int) -> bytes:
    """A small body. Raises TooLarge and Slow."""
    data = bytearray()
    async for piece in pieces(receive, BODY):
        data += piece
        if len(data) > limit:
            raise too_large(limit)
    return bytes(data)


async def spool(receive: Receive, file: IO[bytes], limit: int) -> int:
    """A large body, into a file. Returns its bytes. Raises TooLarge and Slow."""
    size, block = 0, bytearray()
    async for piece in pieces(receive, BODY):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        block += piece
        if len(block) >= _BLOCK:
            await asyncio.to_thread(file.write, bytes(block))
            block.clear()
    await asyncio.to_thread(file.write, bytes(block))
    return size


def too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"what was sent is larger than the {limit} bytes that are taken here",
        hint="seal smaller batches: replicate more often; or raise largest_batch under [serve] here",
    )
