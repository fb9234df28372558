"""Rows on their way into PostgreSQL's staging tables: as COPY text, and what the server said of a row it refused."""

import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from cdc_sync.core import values, wire
from cdc_sync.core.layout import Staged
from cdc_sync.databases.base import Target
from cdc_sync.databases.refusals import refuse

Converter = Callable[[values.Storage], str]

_WHY = {
    "22001": "a text longer than its type {declared}",
    "22003": "a number out of the range of its type {declared}",
    "22021": "bytes that are no text in the server's encoding",
    "22P05": "a character that the server cannot store",
}
_BAD_FORMAT = "22P04"
"""The lines themselves are wrong, and no row can help it."""


def as_copy(data: bytes, targets: Sequence[Target]) -> bytes:
    """Rows as COPY text. Raises RefusedRow for a value that its column cannot hold."""
    converters = [values.to_copy(target.kind) for target in targets]
    lines: list[str] = []
    for row in wire.unpack_rows(data):
        try:
            lines.append("\t".join([convert(value) for convert, value in zip(converters, row, strict=True)]))
        except values.Unholdable:
            _refuse(len(lines), row, converters, targets)
    lines.append("")
    return "\n".join(lines).encode()


def _refuse(number: int, row: wire.Row, converters: Sequence[Converter], targets: Sequence[Target]) -> NoReturn:
    for convert, value, target in zip(converters, row, targets, strict=True):
        try:
            convert(value)
        except values.Unholdable as error:
            refuse(str(error), row=number, table=target.table, target=target)
    raise AssertionError("a value that was refused a moment ago is taken now")


def check_refusal(code: str, place: str, columns: Sequence[Staged], targets: Sequence[Target]) -> None:
    """Raise RefusedRow where the server says which row it was: ``, line 3, column v2: "..."``.

    ``place`` is what its context says behind the staging table's name. The words are in the server's own language, so
    only the line's number and the column's name are looked for.
    """
    names = "|".join(re.escape(column.name) for column in columns)
    found = re.match(rf"\D{{1,20}}(\d+)(?:\D{{1,20}}?\b({names})(?!\w))?", place)
    if found is None or code == _BAD_FORMAT or not (found[2] or code.startswith("22")):
        return
    target = next((t for c, t in zip(columns, targets, strict=True) if c.name == found[2]), None)
    why = _WHY.get(code, "a value that arrived: it is no {declared}")
    why = why.format(declared=target.declared if target else "text")
    refuse(why, row=int(found[1]) - 1, table=targets[0].table, target=target, code=code)
