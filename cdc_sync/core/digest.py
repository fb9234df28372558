"""Rows as digests that can be compared across databases, and order-free sums of them.

The digests only find candidates: what differs here is looked at again by the target itself (``databases.comparing``).
So two spellings of one value may well have two digests, which costs a second look; two different values that the
target would keep apart must never have the same one.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from cdc_sync.core import values
from cdc_sync.core.change import Kind
from cdc_sync.core.wire import Encoding, NotUtf8, pack_rows

SIZE = 16
"""Bytes of a digest."""

BUCKETS = 65_536
"""Sums kept for each side; the bucket of a row is the first two bytes of its key's digest."""

_NUMBERS = (Kind.INTEGER, Kind.FLOAT, Kind.NUMERIC)
_SMALL = 2**63

Canonical = Callable[[Any], Any]


def digest(row: Sequence[Any]) -> bytes:
    return hashlib.blake2b(pack_rows([row]), digest_size=SIZE).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """How a value comes: the encoding of its rows, and the kind and declared type of its column."""

    encoding: Encoding
    kind: Kind
    declared: str


def canonical(value: Typed, source: Typed, target: Typed) -> Canonical:
    """What makes values of one side (``value`` is its column) comparable with those of the other."""
    if source.encoding == target.encoding == "copy" and source.declared == target.declared:
        return _as_it_is
    return _converted(value, target)


def canonical_key(value: Typed, target: Typed) -> Canonical:
    """The same for a key column; spellings that some database takes for one key become one."""
    convert = _converted(value, target)
    return lambda raw: _folded(convert(raw))


def _converted(value: Typed, target: Typed) -> Canonical:
    if target.encoding == "copy":
        return _written_to_types(value.encoding, target.kind)
    return _native if value.encoding == "rows" else _written_to_storage(value.kind, target.kind)


def _as_it_is(raw: Any) -> Any:
    return raw


def _folded(value: Any) -> Any:
    return value.casefold().rstrip() if isinstance(value, str) else value


def text(raw: Any, encoding: Encoding) -> Any:
    """A value without the marks of COPY's text format, as text; None for null."""
    if encoding == "rows":
        return raw
    value = values.split_line(raw)[0]
    return None if value is None else value.decode()


def _written_to_types(encoding: Encoding, kind: Kind) -> Canonical:
    """As a database with types sees a value, however it is spelt."""

    def convert(raw: Any) -> Any:
        value = text(raw, encoding)
        if value is None or isinstance(value, (bytes, NotUtf8)):
            return value
        if kind is Kind.BOOLEAN:
            return {"t": 1, "f": 0, "true": 1, "false": 0}.get(str(value), value)
        if kind is Kind.BYTES and isinstance(value, str):
            return bytes.fromhex(value[2:]) if value.startswith("\\x") else value
        if kind in _NUMBERS:
            return _number(value, exact=kind is not Kind.FLOAT)
        return _moment(str(value)) if kind in (Kind.TIMESTAMP, Kind.TIME) else str(value)

    return convert


def _number(value: Any, *, exact: bool) -> Any:
    try:
        number = Decimal(value if isinstance(value, str) else repr(value)) if exact else float(value)
    except (InvalidOperation, ValueError):
        return value
    if isinstance(number, float) or not number.is_finite():
        return str(number).lower()
    written = f"{number:f}"
    return written.rstrip("0").removesuffix(".") if "." in written else written


def _moment(value: str) -> str:
    value = value.replace("T", " ").removesuffix("Z").removesuffix("+00:00").removesuffix("+00")
    return value.rstrip("0").removesuffix(".") if "." in value else value


def _written_to_storage(kind: Kind, target: Kind) -> Canonical:
    """As an apply makes storage classes of PostgreSQL's text."""
    convert = values.to_storage(Kind.TEXT if target is Kind.TEXT else kind)

    def stored(raw: Any) -> Any:
        value = text(raw, "copy")
        if value is None:
            return None
        try:
            return _native(convert(value.encode()))
        except values.Unholdable:
            return value

    return stored


def _native(value: Any) -> Any:
    """Numbers of one value are one, whatever their storage class."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _SMALL:
        return int(value)
    return value


@dataclass(slots=True)
class Sums:
    """One side's rows by bucket: how many, and the sum of their digests, whatever the order in which they come."""

    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    totals: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, key: bytes, row: bytes) -> None:
        bucket = bucket_of(key)
        self.counts[bucket] += 1
        self.totals[bucket] = (self.totals[bucket] + int.from_bytes(row)) % (1 << 8 * SIZE)


def bucket_of(key: bytes) -> int:
    return int.from_bytes(key[:2])


def groups(one: Sums, other: Sums, size: int) -> dict[int, int]:
    """The buckets in which two sides differ, each with the number of its group: some ``size`` rows a group, or more."""
    return dict(_grouped(one, other, size))


def _grouped(one: Sums, other: Sums, size: int) -> Iterator[tuple[int, int]]:
    group = rows = 0
    for bucket in range(BUCKETS):
        if one.counts[bucket] == other.counts[bucket] and one.totals[bucket] == other.totals[bucket]:
            continue
        yield bucket, group
        rows += one.counts[bucket] + other.counts[bucket]
        if rows >= size:
            group, rows = group + 1, 0
