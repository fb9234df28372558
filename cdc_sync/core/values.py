"""Values on their way between databases: COPY text, and the storage classes NULL, INTEGER, REAL, TEXT and BLOB.

A value that the other side cannot hold as it is raises ``Unholdable``, which names its kind: never a silent change.
What a text means in a column of some kind is said in ``core.spelling``.
"""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

from cdc_sync.core import spelling
from cdc_sync.core.change import Kind
from cdc_sync.core.spelling import Unholdable
from cdc_sync.core.wire import NotUtf8

__all__ = [
    "ANYTHING",
    "Storage",
    "Unholdable",
    "anything",
    "split_line",
    "to_copy",
    "to_storage",
    "unescape",
    "writers",
]

Storage = None | int | float | str | bytes | NotUtf8
Writer = Callable[[Any], str]

_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r"[\\\t\n\r\0]")
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_EXACT = 2**53
"""Up to here a double holds every whole number."""


def split_line(line: bytes) -> list[bytes | None]:
    """A line of COPY text into its values, unescaped (PostgreSQL manual, COPY, text format)."""
    return [None if value == b"\\N" else unescape(value) for value in line.split(b"\t")]


def unescape(value: bytes) -> bytes:
    """A value of COPY text as it is."""
    if b"\\" not in value:
        return value
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), value)


# --- COPY text as storage classes


def to_storage(kind: Kind) -> Callable[[bytes], Storage]:
    """How the text of a value of this kind in a COPY line becomes one of the storage classes."""
    readers: dict[Kind, Callable[[bytes], Storage]] = {
        Kind.BOOLEAN: lambda text: int(text == b"t"),
        Kind.INTEGER: int,
        Kind.FLOAT: _float,
        Kind.NUMERIC: _numeric,
        Kind.BYTES: lambda text: bytes.fromhex(text[2:].decode()),
        Kind.TIMESTAMP: _with_minutes,
        Kind.TIME: _with_minutes,
    }
    return readers.get(kind, bytes.decode)


def anything(kind: Kind) -> Callable[[bytes], Storage]:
    """``to_storage`` that refuses nothing: what it cannot hold stays text."""
    read = to_storage(kind)

    def read_or_keep(text: bytes) -> Storage:
        try:
            return read(text)
        except Unholdable:
            return text.decode()

    return read_or_keep


def _float(text: bytes) -> float:
    value = float(text)
    if math.isnan(value):
        _refuse_nan()
    return value


def _refuse_nan() -> NoReturn:
    raise Unholdable("NaN, which would be stored as NULL")


def _numeric(text: bytes) -> Storage:
    """An integer or a double, where that is exact."""
    exact = Decimal(text.decode())
    if exact.is_nan():
        _refuse_nan()
    if exact.is_finite() and exact == exact.to_integral_value() and abs(exact) < 2**63:
        return int(exact)
    if exact.is_finite() and Decimal(repr(float(exact))) != exact:
        raise Unholdable("a decimal with more digits than a number there holds")
    return float(exact)


def _with_minutes(text: bytes) -> str:
    """Offsets are written with minutes (``+00:00``), as SQL functions and ISO 8601 want them on the other side."""
    return (text + b":00" if text[-3:-2] in (b"+", b"-") else text).decode()


# --- storage classes as COPY text


def to_copy(kind: Kind, declared: str = "") -> Writer:
    """How a value in one of the storage classes becomes COPY text for a column of this kind and declared type."""
    by_class = writers(kind, declared)
    return lambda value: by_class[type(value)](value)


def writers(kind: Kind, declared: str = "") -> Mapping[type, Writer]:
    """``to_copy``, by the value's storage class: so that nothing is asked of a value but its class."""
    check = spelling.text(kind, declared)
    anything = kind in (Kind.TEXT, Kind.JSON, Kind.OTHER)
    return {
        type(None): lambda _: "\\N",
        str: _plain_text if check is None else partial(_text, check) if anything else check,
        bytes: _uuid_hex if kind is Kind.UUID else _hex if kind is Kind.BYTES else _refusing("a BLOB", kind),
        int: _integers(kind, declared),
        float: _floats(kind, declared),
        NotUtf8: _refusing("text that is not UTF-8", kind),
    }


def _refusing(what: str, kind: Kind) -> Writer:
    def refuse(_: Any) -> NoReturn:
        raise Unholdable(f"{what} in a column of kind {kind.value}")

    return refuse


def _plain_text(value: str) -> str:
    if not _TO_ESCAPE.search(value):
        return value
    if "\0" in value:
        raise Unholdable("text with a NUL character")
    return value.translate(_SPECIAL)


def _text(check: spelling.Check, value: str) -> str:
    """Text that ``check`` lets pass, and that may need escapes."""
    return _plain_text(check(value))


def _hex(value: bytes) -> str:
    return "\\\\x" + value.hex()


def _uuid_hex(value: bytes) -> str:
    if len(value) != 16:
        raise Unholdable("a BLOB that is not of 16 bytes in a column of kind uuid")
    return value.hex()


def _integers(kind: Kind, declared: str) -> Writer:
    found: dict[Kind, Writer] = {
        Kind.BOOLEAN: _truth,
        Kind.FLOAT: _whole_double,
        **dict.fromkeys((Kind.BYTES, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.UUID), _refusing("a number", kind)),
    }
    if declared in ("oid", "real", "money"):
        check = spelling.number(declared)
        return lambda value: check(str(value))
    return found.get(kind, str)


def _truth(value: int) -> str:
    if value not in (0, 1):
        raise Unholdable("a number other than 0 and 1 in a column of kind boolean")
    return str(value)


def _whole_double(value: int) -> str:
    if not -_EXACT <= value <= _EXACT and int(float(value)) != value:
        raise Unholdable("a whole number that no double holds in a column of kind float")
    return str(value)


def _floats(kind: Kind, declared: str) -> Writer:
    if declared in ("real", "money"):
        check = spelling.number(declared)
        return lambda value: check(_double(value))
    found: dict[Kind, Writer] = {
        Kind.INTEGER: _whole,
        Kind.JSON: _finite,
        **dict.fromkeys((Kind.FLOAT, Kind.NUMERIC, Kind.TEXT, Kind.OTHER), _double),
    }
    return found.get(kind, _refusing("a number", kind))


def _double(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _whole(value: float) -> str:
    if not value.is_integer():
        raise Unholdable("a number with a fraction in a column of kind integer")
    return str(int(value))


def _finite(value: float) -> str:
    if math.isinf(value):
        raise Unholdable("an infinite number in a column of kind json")
    return repr(value)


ANYTHING: Mapping[type, Writer] = {
    type(None): lambda _: "\\N",
    str: lambda value: "\\N" if "\0" in value else _plain_text(value),
    bytes: _hex,
    int: str,
    float: _double,
    NotUtf8: lambda _: "\\N",
}
"""Writers for a column that is not there: nothing is refused for its sake. What no text holds is left to a resync."""
