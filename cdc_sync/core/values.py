"""Values on their way between databases: PostgreSQL's COPY text and SQLite's storage classes.

A value that the other side cannot hold is an error that names its kind, never a silent change.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from cdc_sync.core.change import Kind
from cdc_sync.core.wire import NotUtf8

Storage = None | int | float | str | bytes | NotUtf8

_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Unholdable(ValueError):
    """The target cannot hold a value. The message says what kind of value it is, not the value."""


def split_line(line: bytes) -> list[bytes | None]:
    """A line of COPY text into its values, unescaped (PostgreSQL manual, COPY, text format)."""
    return [None if value == b"\\N" else _unescape(value) for value in line.split(b"\t")]


def _unescape(value: bytes) -> bytes:
    if b"\\" not in value:
        return value
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), value)


def to_storage(kind: Kind) -> Callable[[bytes], Storage]:
    """How PostgreSQL's text of a value of this kind becomes a SQLite value."""
    readers: dict[Kind, Callable[[bytes], Storage]] = {
        Kind.BOOLEAN: lambda text: int(text == b"t"),
        Kind.INTEGER: int,
        Kind.FLOAT: _float,
        Kind.NUMERIC: _numeric,
        Kind.BYTES: lambda text: bytes.fromhex(text[2:].decode()),
    }
    return readers.get(kind, bytes.decode)


def _float(text: bytes) -> float:
    value = float(text)
    if math.isnan(value):
        raise Unholdable("NaN, which SQLite stores as NULL")
    return value


def _numeric(text: bytes) -> Storage:
    """An integer or a double, where that is exact."""
    try:
        exact = Decimal(text.decode())
    except InvalidOperation:
        return text.decode()
    if not exact.is_finite():
        return text.decode()
    if exact == exact.to_integral_value() and abs(exact) < 2**63:
        return int(exact)
    if Decimal(repr(float(exact))) != exact:
        raise Unholdable("a decimal with more digits than SQLite's numbers hold")
    return float(exact)


def check_number(text: str) -> None:
    """Raise Unholdable for text that a numeric SQLite column would silently turn into another number."""
    try:
        number = float(text)
    except ValueError:
        return
    exact = text.lstrip("-").isdecimal() and str(int(text)) == text and abs(int(text)) < 2**63
    if not exact and repr(number) != text:
        raise Unholdable("text that SQLite would take for a number and change")


def to_copy(kind: Kind) -> Callable[[Storage], str]:
    """How a SQLite value becomes COPY text for a PostgreSQL column of this kind."""
    number = _integer_text if kind is Kind.INTEGER else _float_text

    def convert(value: Storage) -> str:
        if value is None:
            return "\\N"
        if isinstance(value, str):
            return _text(value, kind)
        if isinstance(value, bytes):
            return _bytes(value, kind)
        if isinstance(value, NotUtf8):
            raise Unholdable("text that is not UTF-8")
        return number(value) if isinstance(value, float) else str(value)

    return convert


def _text(value: str, kind: Kind) -> str:
    if kind is Kind.BYTES:
        raise Unholdable("text in a column of kind bytes")
    if "\0" in value:
        raise Unholdable("text with a NUL character, which PostgreSQL cannot store")
    return value.translate(_SPECIAL) if _TO_ESCAPE.search(value) else value


def _bytes(value: bytes, kind: Kind) -> str:
    if kind is not Kind.BYTES:
        raise Unholdable(f"a BLOB in a column of kind {kind.value}")
    return "\\\\x" + value.hex()


def _float_text(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _integer_text(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
