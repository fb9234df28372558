"""Frames: how a batch stands in a stream or a file, alone or one after the other.

A frame is the length of its head (4 bytes, big-endian), the head, and each part after its length (8 bytes). The head is
MessagePack: the encoded header, its signature, and the public key. The signed header says what may follow, so a reader
knows before each part how long it has to be, and never holds more than a head or a part.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cdc_sync.core import chain, limits, wire
from cdc_sync.core.limits import Limits
from cdc_sync.core.wire import AGAIN, Header, Part, Sealed
from cdc_sync.errors import RejectedBatch

_HEAD, _PART = 4, 8
_AROUND = 256
"""Bytes of a head beyond its header at most: a signature, a key, and how MessagePack writes them."""

_PIECE = 1024 * 1024
"""Bytes that are asked for at a time: a length that lies costs no memory before its bytes are there."""

Read = Callable[[int], bytes]
"""Gives some bytes, at most so many; none at the end, and only there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A batch as it arrives. ``parts`` can be read once, in order; whoever wants the next frame need not."""

    sealed: Sealed
    header: Header
    parts: Iterator[bytes]


def write(sealed: Sealed, parts: Iterable[bytes]) -> Iterator[bytes]:
    """A batch's frame, in pieces of which none is larger than a head or a part."""
    head = _head(sealed)
    yield len(head).to_bytes(_HEAD, "big") + head
    for data in parts:
        yield len(data).to_bytes(_PART, "big")
        yield data


def size(sealed: Sealed, header: Header) -> int:
    """Bytes of a batch's frame."""
    return _HEAD + len(_head(sealed)) + sum(_PART + part.size for part in header.parts)


def _head(sealed: Sealed) -> bytes:
    return wire.pack([sealed.header, sealed.signature, sealed.public_key])


def chunked(chunks: Iterable[bytes]) -> Read:
    """To read what comes in chunks of any size."""
    coming, rest = iter(chunks), memoryview(b"")

    def read(most: int) -> bytes:
        nonlocal rest
        while not rest:
            chunk = next(coming, None)
            if chunk is None:
                return b""
            rest = memoryview(chunk)
        data, rest = bytes(rest[:most]), rest[most:]
        return data

    return read


def read_all(read: Read, limit: Limits = limits.CARRIED) -> Iterator[Frame]:
    """Frame after frame. Whoever takes the next one has checked the parts of the one before.

    Raises RejectedBatch for bytes that are no frames: damaged, cut off, changed after they were signed, or of another
    version; TooLarge for what is beyond the limits. Who signed is not known here: that is the receiver's to check.
    """
    while (frame := _frame(read, limit)) is not None:
        yield frame
        for _ in frame.parts:
            pass


def read_one(read: Read, limit: Limits = limits.CARRIED) -> Frame:
    """The only frame. Its parts raise RejectedBatch where anything comes after the last of them; the rest as above."""
    frame = _frame(read, limit)
    if frame is None:
        raise RejectedBatch("a batch was announced, and nothing came", hint=AGAIN)
    return Frame(sealed=frame.sealed, header=frame.header, parts=_then_nothing(frame.parts, read))


def _then_nothing(parts: Iterator[bytes], read: Read) -> Iterator[bytes]:
    yield from parts
    if read(1):
        raise RejectedBatch("more bytes came than the batch has", hint=AGAIN)


def _frame(read: Read, limit: Limits) -> Frame | None:
    first = read(_HEAD)
    if not first:
        return None
    length = int.from_bytes(first + exactly(read, _HEAD - len(first)), "big")
    limits.check_encoded(limit, length - _AROUND)
    head = wire.unpack(exactly(read, length), tuple[bytes, bytes, bytes], "the batch's head")
    sealed = Sealed(header=head[0], signature=head[1], public_key=head[2])
    limits.check_encoded(limit, len(sealed.header))
    header = wire.decode_header(sealed.header)
    limits.check(limit, header)
    chain.verify(sealed, header.node, sealed.public_key)
    return Frame(sealed=sealed, header=header, parts=_parts(read, header.parts))


def _parts(read: Read, parts: Iterable[Part]) -> Iterator[bytes]:
    for part in parts:
        if int.from_bytes(exactly(read, _PART), "big") != part.size:
            raise RejectedBatch("a part of the batch is not as long as its header says", hint=AGAIN)
        data = exactly(read, part.size)
        wire.check_part(part, data)
        yield data


def exactly(read: Read, length: int) -> bytes:
    """So many bytes. Raises RejectedBatch where they end before."""
    found = bytearray()
    while len(found) < length:
        data = read(min(length - len(found), _PIECE))
        if not data:
            raise RejectedBatch("a batch ends before its end", hint=AGAIN)
        found += data
    return bytes(found)
