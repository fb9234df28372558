"""A batch that arrives while it is being sealed: blocking, for a thread of the server."""

from contextlib import ExitStack

from cdc_sync.core import flow, wire
from cdc_sync.core.flow import Begin, Message
from cdc_sync.core.wire import Part, PartRows, Sealed
from cdc_sync.errors import Forbidden, RejectedBatch
from cdc_sync.inbox import DatabaseInbox, Stream
from cdc_sync.web.answers import Elsewhere
from cdc_sync.web.desk import Desk, Place
from cdc_sync.web.sessions import Who


class Incoming:
    """What comes over one stream. It is applied, all of it, or nothing of it is."""

    def __init__(self, desk: Desk, who: Who, place: Place) -> None:
        self._desk = desk
        self._who = who
        self._place = place
        self._stack = ExitStack()
        self._begun: tuple[Begin, Stream] | None = None
        self._parts: list[Part] = []
        self._size = 0
        self._sealed: Sealed | None = None

    def close(self) -> None:
        self._stack.close()

    def take(self, message: Message, data: bytes) -> None:
        """Raises RejectedBatch, after which nothing more is taken."""
        if message.begin is not None:
            self._begin(message.begin)
            return
        if self._begun is None or self._sealed is not None:
            raise RejectedBatch("a stream does not begin at its beginning, or goes on after its end", hint=flow.AGAIN)
        _, stream = self._begun
        if message.part is not None:
            self._load(stream, message.part, data)
        elif message.complete:
            stream.complete()
        elif message.sealed is not None:
            self._sealed = message.sealed

    def finish(self, *, whole: bool) -> None:
        """At the end; ``whole`` says whether it ends with a message. Raises RejectedBatch where nothing is applied."""
        if self._begun is None or self._sealed is None or not whole:
            raise RejectedBatch("a stream ends before its end", hint=flow.AGAIN)
        begin, stream = self._begun
        flow.check(begin, self._parts, self._sealed)
        if not stream.finish(self._sealed):
            raise Elsewhere("the batch cannot be taken while it is being sealed", hint=flow.AGAIN)

    def _begin(self, begin: Begin) -> None:
        after = begin.after
        if self._begun is not None or (after.origin, after.epoch, after.stored + 1) != self._place:
            raise RejectedBatch("a stream is about another batch than its address says", hint=flow.AGAIN)
        if after.origin != self._who.node:
            raise Forbidden("only its origin streams a batch", hint=flow.AGAIN)
        inbox = DatabaseInbox(self._desk.database, self._desk.config.policies, self._who.node)
        stream = inbox.stream(after, begin.shapes, begin.sections)
        if stream is None:
            raise Elsewhere("batches are taken here once they are sealed", hint=flow.AGAIN)
        self._begun = begin, self._stack.enter_context(stream)

    def _load(self, stream: Stream, part: Part, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._desk.limits.batch or len(self._parts) >= self._desk.limits.parts:
            raise RejectedBatch("the batch is larger than is taken here", hint=flow.AGAIN)
        if stream.over:
            raise Elsewhere("the batch cannot be taken while it is being sealed", hint=flow.AGAIN)
        wire.check_part(part, data)
        wire.check_unpacked(data, flow.PART)
        self._parts.append(part)
        stream.rows(PartRows(encoding=part.encoding, data=wire.unpack_part(part, data)), part, data)
