"""The road over HTTP for a batch that is still being sealed. Nothing depends on it: what breaks is sent once sealed."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from cdc_sync.core import flow, talk
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.flow import Begin, Message
from cdc_sync.core.wire import Part, PartRows, Sealed, Section
from cdc_sync.errors import CdcSyncError
from cdc_sync.transports.channel import Channel
from cdc_sync.transports.http import Line

log = logging.getLogger("cdc_sync")

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
        self._leaving: Channel[_Item | None] = Channel()
        self._thread = ThreadPoolExecutor(1, "stream")
        begin = Begin(after=after, shapes=tuple(shapes), sections=tuple(sections))
        self._leaving.put((Message(begin=begin), b""))
        path = f"/v1/stream/{after.origin}/{after.epoch}/{after.stored + 1}"
        self._done = self._thread.submit(self._work, path)

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.over.set()
        self._thread.shutdown()

    def rows(self, _: PartRows, part: Part, data: bytes) -> None:
        if part.size > flow.PART:
            self._leaving.over.set()
        self._leaving.put((Message(part=part), data))

    def complete(self) -> None:
        self._leaving.put((Message(complete=True), b""))

    def finish(self, sealed: Sealed) -> bool:
        self._leaving.put((Message(sealed=sealed), b""))
        self._leaving.put(None)
        try:
            self._done.result()
        except CdcSyncError as error:
            log.debug("a batch did not stream: %s", error)
            self._broken()
            return False
        return True

    def _pieces(self) -> Iterator[bytes]:
        while (item := self._leaving.take()) is not None:
            yield from flow.write(*item)

    def _work(self, path: str) -> None:
        try:
            self._line.stream(path, self._pieces(), talk.Stored)
        finally:
            self._leaving.over.set()
