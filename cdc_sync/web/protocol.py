"""Connections that do not go on are ended: uvicorn itself waits for as long as a client likes."""

import asyncio
from collections import Counter
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cdc_sync.web.limits import PATIENCE, place

HEAD = 20.0
"""Seconds in which a request's head has to come, or the rest of a body that nobody reads."""

CONNECTIONS, OF_ONE = 700, 400
"""Connections at the same time: of all, and of one address."""

HEAD_BYTES = 16 * 1024
"""Bytes of a request's head at most."""


class Guarded(H11Protocol):
    """Ends a connection whose client sends no request, or does not take its answer."""

    open: ClassVar[Counter[str]] = Counter()
    _head: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None
    _from: str = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._from = place(self.client[0] if self.client else "")
        self.open[self._from] += 1
        self._watch()
        if self.open[self._from] > OF_ONE or self.open.total() > CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open[self._from] -= 1
        if not self.open[self._from]:
            del self.open[self._from]
        self._rest()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer is None:
            self._answer = self.loop.call_later(PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def _watch(self) -> None:
        """Give the client some time, unless it is the server's turn, or the connection is kept and nothing begun."""
        answering = self.cycle is not None and not self.cycle.response_complete
        resting = self.cycle is not None and self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if answering or resting or self.transport.is_closing():
            self._rest()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD, self.transport.abort)

    def _rest(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
