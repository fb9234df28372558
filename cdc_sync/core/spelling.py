"""What a text means in a column of some kind: exactly one thing, or it is refused.

A database may read more than one spelling: ``now`` and ``01/02/2026`` as dates, ``1_000`` and ``0x10`` as numbers,
``on`` as true, an hour 24 as the next day. What such a text meant where it was written nobody knows, so that only what
says the same everywhere passes. A time without a zone is in UTC.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from cdc_sync.core.change import Kind


class Unholdable(ValueError):
    """The target cannot hold a value. The message says what kind of value it is, not the value."""


Check = Callable[[str], str]
"""Lets a text pass, perhaps in another spelling of the same value, or raises Unholdable."""

_DAY = r"(?:[0-9]{4}|[1-9][0-9]{4,6})-[0-9]{2}-[0-9]{2}"
_FRACTION = r"(?:\.[0-9]{1,6}0*)?"
_CLOCK = rf"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9]{_FRACTION})?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?)"
_UTC = r"(?:Z|[+-]00(?::?00)?)"
_ENDLESS = "-?infinity"
_HEX = "[0-9a-fA-F]"
_UUID = rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}|{_HEX}{{32}}"
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"

_FORMS = {
    "boolean": ("[tf01]|true|false", "text that is neither true nor false"),
    "integer": ("0|-?[1-9][0-9]*", "text that is no plain whole number"),
    "numeric": (f"{_NUMBER}|NaN|-?Infinity", "text that is no plain decimal number"),
    "float": (f"{_NUMBER}(?:[eE][+-]?[0-9]+)?|NaN|-?Infinity", "text that is no plain number"),
    "date": (
        rf"{_DAY}(?:[ T]00:00(?::00(?:\.0+)?)?)?(?: BC)?|{_ENDLESS}",
        "text that is no date written as 2026-01-31",
    ),
    "time": (rf"{_CLOCK}|24:00(?::00(?:\.0+)?)?", "text that is no time written as 10:00:00.123456, without a zone"),
    "time with zone": (
        rf"(?:{_CLOCK}|24:00(?::00(?:\.0+)?)?){_ZONE}?",
        "text that is no time written as 10:00:00.123456+00:00",
    ),
    "timestamp": (
        rf"{_DAY}(?:[ T]{_CLOCK}{_UTC}?)?(?: BC)?|{_ENDLESS}",
        "text that is no time written as 2026-01-31 10:00:00.123456, in no zone or in UTC",
    ),
    "timestamp with zone": (
        rf"{_DAY}(?:[ T]{_CLOCK}{_ZONE}?)?(?: BC)?|{_ENDLESS}",
        "text that is no time written as 2026-01-31 10:00:00.123456+00:00",
    ),
    "uuid": (rf"{_UUID}|\{{(?:{_UUID})\}}", "text that is no uuid"),
    "oid": ("0|[1-9][0-9]*", "a number below 0"),
}


def _form(name: str) -> Check:
    pattern, what = _FORMS[name]
    matches = re.compile(pattern).fullmatch

    def check(text: str) -> str:
        if matches(text) is None:
            raise Unholdable(f"{what} in a column of kind {name}")
        return text

    return check


def _refuse_bytes(_: str) -> str:
    raise Unholdable("text in a column of kind bytes")


def text(kind: Kind, declared: str) -> Check | None:
    """What to ask of a text before a column of this kind and declared type may read it; None for nothing."""
    if kind is Kind.TEXT:
        return _length(declared)
    if kind is Kind.JSON:
        return _unique_keys if declared == "jsonb" else None
    if kind is Kind.BYTES:
        return _refuse_bytes
    if kind is Kind.FLOAT or declared in ("oid", "money"):
        return number(declared)
    if kind is Kind.OTHER:
        return None
    zoned = kind in (Kind.TIME, Kind.TIMESTAMP) and declared.endswith("with time zone")
    return _form(f"{kind.value} with zone" if zoned else kind.value)


def number(declared: str) -> Check:
    """What to ask of a number before a column of this declared type may read it."""
    if declared == "oid":
        return _form("oid")
    if declared == "money":
        return _money
    return _single if declared == "real" else _double


_IS_FLOAT = _form("float")
_SPECIAL = ("NaN", "Infinity", "-Infinity")


def _double(text: str) -> str:
    """Raise Unholdable where a double would be another number."""
    if _IS_FLOAT(text) not in _SPECIAL and not _is_exact(text):
        raise Unholdable("text with more digits than a double holds in a column of kind float")
    return text


def _is_exact(text: str) -> bool:
    number = float(text)
    if math.isinf(number):
        return False
    try:
        return Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent beyond all that can be counted
        return False


def _single(text: str) -> str:
    """Raise Unholdable where four bytes would hold another number, or be written with other digits than the text's."""
    if _IS_FLOAT(text) in _SPECIAL:
        return text
    number = float(text)
    held = _four_bytes(number)
    digits = len(text.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")) or 1
    same = digits <= 9 and not math.isinf(held) and float(f"{held:.{digits}g}") == number and _names(text, held)
    if not same or (digits > 1 and _names(f"{held:.{digits - 1}g}", held)):
        raise Unholdable("a number with more digits than its type real holds")
    return text


def _names(text: str, held: float) -> bool:
    """Whether a decimal is nearer to a number of four bytes than to any other.

    Halfway lie whole numbers only: a fraction there has more digits than its neighbours.
    """
    nearest = _four_bytes(float(text)) == held
    return nearest and (abs(held) < _WHOLE_IN_FOUR_BYTES or not _is_between(Decimal(text), held))


_FOUR_BYTES = struct.Struct("f")
_WHOLE_IN_FOUR_BYTES = 2**24


def _four_bytes(number: float) -> float:
    try:
        held: float = _FOUR_BYTES.unpack(_FOUR_BYTES.pack(number))[0]
    except OverflowError:
        return math.inf
    return held


def _is_between(exact: Decimal, held: float) -> bool:
    """Whether a number lies halfway between two of four bytes."""
    (bits,) = struct.unpack("I", _FOUR_BYTES.pack(held))
    others = (_FOUR_BYTES.unpack(struct.pack("I", near))[0] for near in (bits - 1, bits + 1))
    return any(Decimal(held) + Decimal(other) == 2 * exact for other in others if math.isfinite(other))


_IS_MONEY = re.compile(r"(-?)\$?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]{1,2}0*)?)").fullmatch


def _money(text: str) -> str:
    """As the server spells it: ``-$1,234.50``."""
    found = _IS_MONEY(text)
    if found is None:
        raise Unholdable("a number that is no amount with two decimals in a column of type money")
    amount = Decimal(found[2].replace(",", ""))
    return f"{found[1] if amount else ''}${amount:,.2f}"


_LIMIT = re.compile(r"(character varying|character)\((\d+)\)")


def _length(declared: str) -> Check | None:
    found = _LIMIT.fullmatch(declared)
    if found is None:
        return None
    limit, padded = int(found[2]), found[1] == "character"

    def check(text: str) -> str:
        if len(text) > limit:
            raise Unholdable(f"a text longer than its type {declared}")
        if padded and text[-1:] == " " and len(text) != limit:
            raise Unholdable(f"text that ends in blanks, which its type {declared} does not keep")
        return text

    return check


_KEYS = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')


def _unique_keys(text: str) -> str:
    """Raise Unholdable where an object says one name twice: the type would keep the last. Bad JSON is the server's."""
    keys = _KEYS.findall(text)
    if len(set(keys)) < len(keys) or any("\\" in key for key in keys):
        try:
            json.loads(text, object_pairs_hook=_once, parse_float=str, parse_int=str)
        except (json.JSONDecodeError, RecursionError):
            return text
    return text


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Unholdable("an object with one name twice in a column of type jsonb")
