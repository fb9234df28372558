"""Rows on their way into SQLite's staging tables, and what a column would make of their values.

A column's affinity turns some values into others (https://sqlite.org/datatype3.html, 3.4). That is welcome where the
value stays the same, and refused where it does not.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from cdc_sync.core import values
from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.databases.base import Target
from cdc_sync.databases.refusals import check, refused
from cdc_sync.databases.sqlite_tables import Affinity, affinity
from cdc_sync.errors import RefusedRow

Reader = Callable[[bytes], values.Storage]
Guard = Callable[[Any], None]
"""Raises Unholdable for a value that the column's affinity would change."""

_LOOKS_NUMERIC = re.compile(
    r"[ \t\n\v\f\r]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\v\f\r]*"
).fullmatch
_PLAIN_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}").fullmatch
_EXACT = 2**53
_COMMON = {
    Kind.TEXT: Affinity.TEXT,
    Kind.INTEGER: Affinity.INTEGER,
    Kind.FLOAT: Affinity.REAL,
    Kind.OTHER: Affinity.BLOB,
    Kind.BYTES: Affinity.BLOB,
    **dict.fromkeys((Kind.NUMERIC, Kind.DATE, Kind.TIME, Kind.TIMESTAMP), Affinity.NUMERIC),
}
"""The affinity of a column of this kind in another SQLite database. Others may have any."""

_NUMBERS = (Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.NUMERIC)
_NO_NUMBERS = (Kind.BYTES, Kind.DATE, Kind.TIME, Kind.TIMESTAMP, Kind.UUID)
"""Of these a number would say something only by a convention (days since when?) that nobody told us."""


def from_copy(data: bytes, columns: Sequence[Staged], targets: Sequence[Target]) -> Iterator[list[values.Storage]]:
    """Lines of COPY text as rows. Raises RefusedRow for a value that its column would change."""
    readers = [_reader(column.kind, target) for column, target in zip(columns, targets, strict=True)]
    found: list[RefusedRow] = []
    for number, line in enumerate(data.splitlines()):
        texts = values.split_line(line)
        try:
            yield [None if text is None else read(text) for read, text in zip(readers, texts, strict=True)]
        except values.Unholdable:
            found.append(_refused(number, texts, dict(enumerate(readers)), targets))
    check(found)


def checked(
    rows: Iterable[Sequence[Any]], columns: Sequence[Staged], targets: Sequence[Target]
) -> Iterable[Sequence[Any]]:
    """Another SQLite database's rows. Raises RefusedRow for a value that a column of another affinity would change."""
    guards = {i: guard for i, (c, t) in enumerate(zip(columns, targets, strict=True)) if (guard := _guard(c.kind, t))}
    return _checked(rows, guards, targets) if guards else rows


def _checked(
    rows: Iterable[Sequence[Any]], guards: Mapping[int, Guard], targets: Sequence[Target]
) -> Iterator[Sequence[Any]]:
    found: list[RefusedRow] = []
    for number, row in enumerate(rows):
        try:
            for i, guard in guards.items():
                guard(row[i])
        except values.Unholdable:
            found.append(_refused(number, row, guards, targets))
            continue
        yield row
    check(found)


def _refused(
    number: int, row: Sequence[Any], readers: Mapping[int, Callable[[Any], Any]], targets: Sequence[Target]
) -> RefusedRow:
    for i, read in readers.items():
        try:
            if row[i] is not None:
                read(row[i])
        except values.Unholdable as error:
            return refused(str(error), row=number, table=targets[i].table, target=targets[i])
    raise AssertionError("a value that was refused a moment ago is taken now")


# --- from COPY text


def _reader(kind: Kind, target: Target) -> Reader:
    """How a server's text of this kind becomes the value that the column keeps as it is."""
    if not target.column:
        return values.anything(kind) if target.absent else values.to_storage(kind)
    if kind in _NUMBERS and target.kind in _NO_NUMBERS:
        return _refusing(f"a {kind.value} in a column of kind {target.kind.value}")
    if kind is Kind.BYTES and target.kind not in (Kind.BYTES, Kind.TEXT, Kind.OTHER):
        return _refusing(f"bytes in a column of kind {target.kind.value}")
    place = affinity(target.declared)
    read = _as_kept(kind, target, place)
    if place in (Affinity.TEXT, Affinity.BLOB) or kind is Kind.BYTES:
        return read
    if kind in (Kind.BOOLEAN, Kind.FLOAT):
        return read
    guard = _guards(place)
    if kind in (Kind.INTEGER, Kind.NUMERIC):
        return _guarded(read, guard) if place is Affinity.REAL else read
    return _guarded(read, guard)


def _refusing(what: str) -> Reader:
    def refuse_all(_: bytes) -> NoReturn:
        raise values.Unholdable(what)

    return refuse_all


def _as_kept(kind: Kind, target: Target, place: Affinity) -> Reader:
    if kind is Kind.UUID and target.declared.lower().replace(" ", "") == "char(32)":
        return lambda text: text.replace(b"-", b"").decode()
    if kind is Kind.UUID and target.kind is Kind.BYTES:
        return lambda text: bytes.fromhex(text.replace(b"-", b"").decode())
    if kind is Kind.TIMESTAMP and target.declared.lower() == "datetime":
        return lambda text: text.removesuffix(b"+00").decode()
    if place is Affinity.TEXT and kind is not Kind.BYTES:
        return bytes.decode
    return values.to_storage(kind)


def _guarded(read: Reader, guard: Guard) -> Reader:
    def guarded(text: bytes) -> values.Storage:
        value = read(text)
        guard(value)
        return value

    return guarded


# --- what an affinity changes


def _guard(kind: Kind, target: Target) -> Guard | None:
    """What to ask of values from another SQLite database; None where the column cannot change them."""
    place = affinity(target.declared)
    if not target.column or place is Affinity.BLOB or kind is target.kind or _COMMON.get(kind) is place:
        return None
    numbers = (Affinity.INTEGER, Affinity.NUMERIC)
    if place in numbers and _COMMON.get(kind) in (*numbers, Affinity.REAL):
        return None
    return _guards(place)


def _guards(place: Affinity) -> Guard:
    return {Affinity.TEXT: _into_text, Affinity.REAL: _into_real}.get(place, _into_number)


def _into_text(value: values.Storage) -> None:
    if isinstance(value, float) and float(f"{value:.15g}") != value:
        raise values.Unholdable("a number with more than 15 digits in a column of text")


def _into_real(value: values.Storage) -> None:
    if isinstance(value, str) and _LOOKS_NUMERIC(value) and repr(float(value)) != value:
        raise values.Unholdable("text that would be taken for a number and changed")
    if isinstance(value, int) and not -_EXACT <= value <= _EXACT and int(float(value)) != value:
        raise values.Unholdable("a whole number that no double holds")


def _into_number(value: values.Storage) -> None:
    """Whole numbers and fractions may be taken for numbers where these are written as the text is."""
    if not isinstance(value, str) or not _LOOKS_NUMERIC(value):
        return
    if _PLAIN_INTEGER(value) and -(2**63) <= int(value) < 2**63:
        return
    number = float(value)
    if number.is_integer() or repr(number) != value:
        raise values.Unholdable("text that would be taken for a number and changed")
