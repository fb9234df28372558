"""The road over HTTP for a batch that is still being sealed. Nothing depends on it: what breaks is sent once sealed."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from cdc_sync.core import flow, talk
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.flow import Begin, Message
from cdc_sync.core.wire import Part, PartRows, Sealed, Section
from cdc_sync.errors import CdcSyncError
from cdc_sync.transports.http import Line

log = logging.getLogger("cdc_sync")

WAITING = 12
"""Parts at most between the seal and the network."""

PATIENCE = 5.0
"""Seconds that a seal waits for a slow network; then it goes on without."""

_Item = tuple[Message, bytes]


class Flow:
    """A request that is sent while a batch is sealed. ``broken`` is told where it comes to nothing."""

    def __init__(
        self,
        line: Line,
        after: Position,
        shapes: Sequence[Shape],
        sections: Sequence[Section],
        broken: Callable[[], None],
    ) -> None:
        self._line = line
        self._broken = broken
        self._leaving: queue.Queue[_Item | None] = queue.Queue(WAITING)
        self._over = threading.Event()
        self._thread = ThreadPoolExecutor(1, "stream")
        begin = Begin(after=after, shapes=tuple(shapes), sections=tuple(sections))
        self._put((Message(begin=begin), b""))
        path = f"/v1/stream/{after.origin}/{after.epoch}/{after.stored + 1}"
        self._done = self._thread.submit(self._work, path)

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.shutdown()

    def rows(self, _: PartRows, part: Part, data: bytes) -> None:
        if part.size > flow.PART:
            self._over.set()
        self._put((Message(part=part), data))

    def complete(self) -> None:
        self._put((Message(complete=True), b""))

    def finish(self, sealed: Sealed) -> bool:
        self._put((Message(sealed=sealed), b""))
        self._put(None)
        try:
            self._done.result()
        except CdcSyncError as error:
            log.debug("a batch did not stream: %s", error)
            self._broken()
            return False
        return True

    def _put(self, item: _Item | None) -> None:
        last = time.monotonic() + PATIENCE
        while not self._over.is_set():
            try:
                self._leaving.put(item, timeout=0.1)
            except queue.Full:
                if time.monotonic() > last:
                    self._over.set()
            else:
                return

    def _pieces(self) -> Iterator[bytes]:
        while not self._over.is_set():
            try:
                item = self._leaving.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is None:
                return
            yield from flow.write(*item)
        raise CdcSyncError("the stream was given up")

    def _work(self, path: str) -> None:
        try:
            self._line.stream(path, self._pieces(), talk.Stored)
        finally:
            self._over.set()
