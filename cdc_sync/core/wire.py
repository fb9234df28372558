"""A batch as bytes: a header that names everything, and parts that hold the rows.

Frame: MessagePack. Part: rows of one table, compressed with zstd; the header holds every part's SHA-256, so the
header's own digest covers the whole batch. Rows stand in a part in one of two encodings, named per part:

* ``copy``: PostgreSQL's COPY text, one line a row. Values are the server's own text from end to end; between two
  PostgreSQL databases no Python object is made of them (DESIGN.md, decision 10). The first parts of a batch are turned,
  column after column, and take half the bytes; see ``turn`` for what that costs.
* ``rows``: a MessagePack array of columns, each an array of values. They keep SQLite's storage class: NULL, INTEGER,
  REAL, TEXT, BLOB.
"""

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import msgspec

from cdc_sync.core.change import Shape, Table, View
from cdc_sync.core.plan import SyncedTable
from cdc_sync.errors import RejectedBatch, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 1
AGAIN = "have the batch sent again"
"""What helps where a batch was damaged on its way."""

LEVEL = 3
"""zstd level: for the 92 MB of 500,000 visit rows as lines 1 takes 0.09 s, and 3 takes 0.10 s for a quarter less; rows
as columns take as long with 3 as with 1, for a third less.
"""

TURNED = 4 * 1024 * 1024
"""Bytes of lines at a batch's beginning that are turned before they are packed."""

LARGEST_PART = 1024 * 1024 * 1024
"""No part may grow beyond this when it is unpacked (bytes): a guard against hostile input."""

Encoding = Literal["copy", "rows"]
Row = Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the header says of one part: its table, how many rows, how they are encoded, its size and SHA-256.

    ``turned``: by how many columns its lines were turned (see ``turn``), 0 where they stand one after the other.
    """

    table: str
    rows: int
    encoding: Encoding
    size: int
    digest: bytes
    turned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What the header says of one table: how many changes of each operation (see ``Op``) the batch holds."""

    table: str
    counts: Mapping[str, int]

    @property
    def keyed(self) -> bool:
        """Deletes or key changes are among the rows, so their old keys travel too."""
        return bool(self.counts.get("D") or self.counts.get("K"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The batch without its rows. ``previous`` is the digest of batch ``number - 1``; empty for the first."""

    version: int
    node: str
    epoch: str
    number: int
    previous: bytes
    sealed_at: str
    fingerprint: bytes
    shapes: tuple[Shape, ...]
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A batch's header as it travels: the encoded header, the node's Ed25519 signature and public key."""

    header: bytes
    signature: bytes
    public_key: bytes

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.header).digest()


def encode_header(header: Header) -> bytes:
    return msgspec.msgpack.encode(header)


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that nobody encoded; text that is no UTF-8 is none of its own errors."""


def decode_header(data: bytes) -> Header:
    """Raises RejectedBatch for anything that is not a header of this version."""
    try:
        version = msgspec.msgpack.decode(data, type=_Versioned).version
        if version != VERSION:
            raise RejectedBatch(
                f"the batch is written in wire format {version}; this cdc-sync reads format {VERSION}",
                hint="upgrade cdc-sync on the older side",
            )
        return msgspec.msgpack.decode(data, type=Header)
    except _UNREADABLE as error:
        raise RejectedBatch("the batch's header is damaged", hint=AGAIN) from error


@dataclass(frozen=True)
class _Versioned:
    version: int


_Kind = TypeVar("_Kind")


def pack(value: object) -> bytes:
    """A data class of ours, or a list of what MessagePack holds, as bytes."""
    return msgspec.msgpack.encode(value)


def unpack(data: bytes, kind: type[_Kind], what: str) -> _Kind:
    """What ``pack`` wrote. Raises RejectedBatch, with ``what`` in its message, for anything else."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except _UNREADABLE as error:
        raise RejectedBatch(f"{what} is damaged", hint="have it sent again") from error


def to_json(value: object) -> bytes:
    """A data class of ours as JSON; bytes become base64."""
    return msgspec.json.encode(value)


def from_json(data: bytes, kind: type[_Kind], what: str) -> _Kind:
    """What ``to_json`` wrote. Raises RejectedBatch, with ``what`` in its message, for anything else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except _UNREADABLE as error:
        raise RejectedBatch(f"{what} cannot be read", hint="see /openapi.json there for what is understood") from error


def schemas(kinds: Iterable[type], place: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """JSON schemas of data classes of ours: references to them, and what these lead to; ``place`` holds ``{name}``."""
    references, found = msgspec.json.schema_components(list(kinds), ref_template=place)
    return list(references), dict(found)


def fingerprint(shapes: Sequence[Shape]) -> bytes:
    """SHA-256 over the shapes: equal as long as the synced schema is."""
    return hashlib.sha256(msgspec.msgpack.encode(tuple(shapes))).digest()


def encode_shape(shape: Shape) -> bytes:
    return msgspec.json.encode(shape)


def decode_shape(data: bytes | str) -> Shape:
    return msgspec.json.decode(data, type=Shape)


def encode_settings(settings: SyncedTable) -> bytes:
    return msgspec.json.encode(settings)


def decode_settings(data: bytes | str) -> SyncedTable:
    return msgspec.json.decode(data, type=SyncedTable)


def encode_declared(columns: Iterable[tuple[str, str]]) -> bytes:
    """Columns with their declared types; equal as long as the table is."""
    return msgspec.json.encode(list(columns))


def decode_declared(data: bytes | str) -> list[tuple[str, str]]:
    return msgspec.json.decode(data, type=list[tuple[str, str]])


def encode_shown(kind: str, table: Table) -> str:
    """What a view shows, with the kind of its database; the same as long as it shows the same."""
    view = replace(table.shown, base=None, fired=False, writable=False)
    return msgspec.json.encode([kind, view]).decode()


def decode_shown(data: str) -> tuple[str, View]:
    """What ``encode_shown`` wrote. Raises RejectedBatch where nobody did."""
    try:
        return msgspec.json.decode(data, type=tuple[str, View])
    except _UNREADABLE as error:
        raise RejectedBatch("what a batch says of a view is damaged", hint=AGAIN) from error


class NotUtf8:
    """Text whose bytes are not UTF-8, which SQLite stores. Not a data class: msgspec would encode it as one."""

    def __init__(self, data: bytes) -> None:
        self.data = data


_NOT_UTF8 = 1
"""MessagePack extension type of ``NotUtf8``."""


def _extend(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, NotUtf8):
        return msgspec.msgpack.Ext(_NOT_UTF8, value.data)
    raise TypeError(f"values of type {type(value).__name__} do not travel")


def _extended(code: int, data: memoryview) -> NotUtf8:
    if code != _NOT_UTF8:
        raise RejectedBatch(f"a part of the batch holds values of an unknown kind ({code})", hint="upgrade cdc-sync")
    return NotUtf8(bytes(data))


_pack = msgspec.msgpack.Encoder(enc_hook=_extend).encode
_unpack = msgspec.msgpack.Decoder(list[list[Any]], ext_hook=_extended).decode


def pack_rows(rows: Sequence[Row]) -> bytes:
    """Rows of equally many values, one at least: column after column, because alike values pack well side by side."""
    return _pack(list(zip(*rows, strict=True)))


def unpack_rows(data: bytes) -> list[tuple[Any, ...]]:
    try:
        columns = _unpack(data)
        rows = list(zip(*columns, strict=True))
    except (*_UNREADABLE, ValueError) as error:
        raise RejectedBatch("a part of the batch is damaged", hint=AGAIN) from error
    if columns and not rows:
        raise RejectedBatch("a part of the batch has columns and no rows", hint=AGAIN)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRows:
    """A part's rows, unpacked."""

    encoding: Encoding
    data: bytes


def is_utf8(rows: Iterable[Row]) -> bool:
    """Whether no value of the rows is ``NotUtf8``."""
    return not any(NotUtf8 in map(type, row) for row in rows)


def turn(data: bytes) -> tuple[int, bytes]:
    """Lines with their values column after column, and the number by which they are turned back.

    The last value of a line stays with the first of the next one, so that nothing is done line by line. It costs 1 µs a
    row, and as much to turn it back: a third of what a large backlog takes in all, and nothing that is felt in a small
    one. 10,000 visit rows take 47 kB instead of 76.
    """
    width = data.count(b"\t", 0, data.find(b"\n"))
    if len(data) > TURNED or not width:
        return 0, data
    values, columns = data.split(b"\t"), list[bytes]()
    for column in range(width):
        columns += values[column::width]
    return width, b"\t".join(columns)


def turn_back(data: bytes, width: int) -> bytes:
    """The opposite of ``turn``. Raises RejectedBatch for what it cannot have made."""
    if len(data) > TURNED or not 0 < width <= data.count(b"\t"):
        raise RejectedBatch("a part of the batch is damaged", hint=AGAIN)
    columns, at = data.split(b"\t"), 0
    values = [b""] * len(columns)
    for column in range(width):
        count = len(range(column, len(columns), width))
        values[column::width] = columns[at : at + count]
        at += count
    return b"\t".join(values)


def pack_part(table: str, rows: int, encoding: Encoding, data: bytes, *, tightly: bool = False) -> tuple[Part, bytes]:
    """Compress a part's rows. Returns what the header says of it, and its bytes. ``tightly`` turns lines first."""
    turned = 0
    if tightly and encoding == "copy":
        turned, data = turn(data)
    packed = zstd.compress(data, LEVEL)
    digest = hashlib.sha256(packed).digest()
    return Part(table=table, rows=rows, encoding=encoding, size=len(packed), digest=digest, turned=turned), packed


def check_part(part: Part, packed: bytes) -> None:
    """Raises RejectedBatch where the bytes are not those that the signed header names."""
    if len(packed) != part.size or hashlib.sha256(packed).digest() != part.digest:
        raise RejectedBatch("a part of the batch does not match its digest", hint=AGAIN)


def check_unpacked(packed: bytes, limit: int) -> None:
    """Raises TooLarge for a part that unpacks to more bytes than the limit, RejectedBatch for one that does not unpack.

    It is unpacked a piece at a time, and kept nowhere.
    """
    decompressor, size, data = zstd.ZstdDecompressor(), 0, packed
    try:
        while not decompressor.eof:
            piece = len(decompressor.decompress(data, _PIECE))
            size, data = size + piece, b""
            if size > limit:
                raise TooLarge(
                    f"a part of the batch unpacks to more than the {limit} bytes that are taken here",
                    hint="send that row over a database connection",
                )
            if not piece and decompressor.needs_input:
                break
    except zstd.ZstdError as error:
        raise RejectedBatch("a part of the batch is damaged", hint=AGAIN) from error
    if not decompressor.eof or decompressor.unused_data:
        raise RejectedBatch("a part of the batch is damaged", hint=AGAIN)


_PIECE = 1024 * 1024


def unpack_part(part: Part, packed: bytes) -> bytes:
    """A part's rows as they were packed. Raises RejectedBatch for damaged or oversized parts."""
    check_part(part, packed)
    decompressor = zstd.ZstdDecompressor()
    try:
        data = decompressor.decompress(packed, LARGEST_PART)
    except zstd.ZstdError as error:
        raise RejectedBatch("a part of the batch is damaged", hint=AGAIN) from error
    if not decompressor.eof:
        raise RejectedBatch(f"a part of the batch unpacks to more than {LARGEST_PART} bytes")
    return turn_back(data, part.turned) if part.turned else data
