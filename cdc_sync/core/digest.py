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
    return _from_copy(raw) if encoding == "copy" else raw


def _from_copy(raw: bytes) -> str | None:
    if b"\\" not in raw:
        return raw.decode()
    value = values.split_line(raw)[0]
    return None if value is None else value.decode()


def _written_to_types(encoding: Encoding, kind: Kind) -> Canonical:
    """As a database with types sees a value, however it is spelt."""
    meaning = _MEANINGS.get(kind, str)

    def from_copy(raw: bytes) -> Any:
        value = _from_copy(raw)
        return None if value is None else meaning(value)

    def from_storage(value: Any) -> Any:
        return value if value is None or isinstance(value, (bytes, NotUtf8)) else meaning(value)

    return from_copy if encoding == "copy" else from_storage


def _truth(value: Any) -> Any:
    return {"t": 1, "f": 0, "true": 1, "false": 0}.get(str(value), value)


def _bytes(value: Any) -> Any:
    return bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("\\x") else value


def _double(value: Any) -> Any:
    try:
        return str(float(value))
    except ValueError:
        return value


def _number(value: Any) -> Any:
    """All digits of a number, and no zeros that mean nothing."""
    if isinstance(value, int):
        return str(value)
    try:
        number = Decimal(value if isinstance(value, str) else repr(value))
    except InvalidOperation:
        return value
    if not number.is_finite():
        return str(number).lower()
    written = f"{number:f}"
    return written.rstrip("0").removesuffix(".") if "." in written else written


def _moment(value: Any) -> str:
    plain = str(value).replace("T", " ").removesuffix("Z").removesuffix("+00:00").removesuffix("+00")
    return plain.rstrip("0").removesuffix(".") if "." in plain else plain


_MEANINGS: dict[Kind, Canonical] = {
    Kind.BOOLEAN: _truth,
    Kind.BYTES: _bytes,
    Kind.INTEGER: _number,
    Kind.NUMERIC: _number,
    Kind.FLOAT: _double,
    Kind.TIMESTAMP: _moment,
    Kind.TIME: _moment,
}


def _written_to_storage(kind: Kind, target: Kind) -> Canonical:
    """As an apply makes storage classes of PostgreSQL's text."""
    convert = values.to_storage(Kind.TEXT if target is Kind.TEXT else kind)

    def stored(raw: Any) -> Any:
        value = _from_copy(raw)
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
