"""A batch on its way while it is being sealed: what of it is known first, then its parts, and at last what was signed.

Messages follow each other, each the length of its head (4 bytes, big-endian) and the head, in MessagePack; a part's
bytes follow its head. Nothing counts before the signed header says the same as all that came before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from cdc_sync.core import chain, wire
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.wire import Part, Sealed, Section
from cdc_sync.errors import RejectedBatch, TooLarge

_LENGTH = 4
HEAD = 16 * 1024 * 1024
"""Bytes of a head at most."""

PART = 4 * 1024 * 1024
"""Bytes of a part at most, packed or not: a part has some 2 MiB, unless a row is large. Those come once sealed."""

AGAIN = "send it once it is sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Which batch: the one after this position, of these shapes and sections."""

    after: Position
    shapes: tuple[Shape, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One of these. ``complete``: no part follows."""

    begin: Begin | None = None
    part: Part | None = None
    complete: bool = False
    sealed: Sealed | None = None


def write(message: Message, data: bytes = b"") -> Iterator[bytes]:
    """A message, and a part's bytes behind it."""
    head = wire.pack(message)
    yield len(head).to_bytes(_LENGTH, "big") + head
    if data:
        yield data


class Reader:
    """Messages out of pieces of any size."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._part: Part | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing has come of another message."""
        return not self._rest and self._part is None

    def feed(self, piece: bytes) -> Iterator[tuple[Message, bytes]]:
        """The messages that this piece completes. Raises RejectedBatch for what is none, and TooLarge."""
        self._rest += piece
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> tuple[Message, bytes] | None:
        if self._part is None and (head := self._head()) is not None:
            message = wire.unpack(head, Message, "the stream")
            if message.part is None:
                return message, b""
            if not 0 < message.part.size <= PART:
                raise TooLarge(f"a part of the stream is larger than the {PART} bytes that are taken so", hint=AGAIN)
            self._part = message.part
        if self._part is None or len(self._rest) < self._part.size:
            return None
        part, self._part = self._part, None
        return Message(part=part), self._cut(part.size)

    def _head(self) -> bytes | None:
        length = int.from_bytes(self._rest[:_LENGTH], "big")
        if length > HEAD:
            raise TooLarge(f"a head of the stream is larger than the {HEAD} bytes that are taken here", hint=AGAIN)
        if len(self._rest) < _LENGTH + length or len(self._rest) < _LENGTH:
            return None
        return self._cut(_LENGTH + length)[_LENGTH:]

    def _cut(self, size: int) -> bytes:
        data = bytes(self._rest[:size])
        del self._rest[:size]
        return data


def check(begin: Begin, parts: Iterable[Part], sealed: Sealed) -> None:
    """Raise RejectedBatch unless what was signed is what came."""
    header = wire.decode_header(sealed.header)
    chain.verify(sealed, header.node, sealed.public_key)
    came = replace(
        header,
        node=begin.after.origin,
        epoch=begin.after.epoch,
        number=begin.after.stored + 1,
        previous=begin.after.digest,
        shapes=begin.shapes,
        sections=begin.sections,
        parts=tuple(parts),
    )
    if came != header:
        raise RejectedBatch("a batch was sealed otherwise than it was sent", hint=AGAIN)
