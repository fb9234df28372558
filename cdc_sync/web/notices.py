"""Who waits for a chain to move on hears of it. Threads tell; the event loop listens."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

Chain = tuple[str, str]


class Notices:
    def __init__(self) -> None:
        self.over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Chain, set[asyncio.Event]] = {}

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def tell(self, chain: Chain) -> None:
        """From any thread: a chain has moved on."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._set, chain)

    def stop(self) -> None:
        """Nothing moves any more."""
        self.over = True
        for chain in list(self._waiting):
            self._set(chain)

    @contextmanager
    def listening(self, chain: Chain) -> Iterator[asyncio.Event]:
        """An event that is set whenever the chain moves on, within the block."""
        event = asyncio.Event()
        self._waiting.setdefault(chain, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[chain].discard(event)
            if not self._waiting[chain]:
                del self._waiting[chain]

    def _set(self, chain: Chain) -> None:
        for event in self._waiting.get(chain, ()):
            event.set()
