"""Letters: changes that are not applied yet. All changes of one row stand in one letter, so that they stay in order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cdc_sync.core import wire
from cdc_sync.core.layout import Layout
from cdc_sync.core.values import split_line
from cdc_sync.core.wire import PartRows
from cdc_sync.errors import CdcSyncError

DEFERRED_LIMIT = 86_400.0
"""Seconds for which a row may wait for its parent before somebody should know."""


class State(StrEnum):
    """What a letter waits for."""

    DEFERRED = "deferred"
    """Something that will come by itself: a parent, or the end of whatever forbids a delete."""
    DEAD = "dead"
    """A person, who mends the row or the target."""
    HELD = "held"
    """A decision between two versions of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter without its rows. ``number`` is the batch whose header describes them, ``seq`` its first change's.

    ``awaits`` is the table of the parent that is missing, ``standing`` where the row stands at its origin (None once it
    is gone there), ``code`` the database's own for the first error, ``noted_at`` ISO 8601.
    """

    id: int
    origin: str
    epoch: str
    number: int
    table: str
    seq: int
    state: State
    awaits: str
    standing: str | None
    code: str
    message: str
    hint: str
    noted_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why changes are put aside."""

    state: State
    error: CdcSyncError
    awaits: str = ""

    @property
    def code(self) -> str:
        return str(getattr(self.error, "code", ""))


def standing(identity: Sequence[object]) -> str:
    """Where a row stands, as text that is equal for equal identities, whichever way they were read."""
    return json.dumps([_text(value) for value in identity])


def _text(value: object) -> str | None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, wire.NotUtf8):
        return value.data.hex()
    return None if value is None else str(value)


def single_rows(rows: PartRows) -> Iterator[PartRows]:
    """The rows one by one, each as a part of its own."""
    if rows.encoding == "copy":
        for line in rows.data.splitlines(keepends=True):
            yield replace(rows, data=line)
    else:
        for row in wire.unpack_rows(rows.data):
            yield replace(rows, data=wire.pack_rows([row]))


def joined(rows: Sequence[PartRows]) -> PartRows:
    """Parts of one encoding as one."""
    if rows[0].encoding == "copy":
        return replace(rows[0], data=b"".join(part.data for part in rows))
    return replace(rows[0], data=wire.pack_rows([row for part in rows for row in wire.unpack_rows(part.data)]))


def read_row(row: PartRows, layout: Layout) -> Mapping[str, object]:
    """The staged columns of a part of one row: COPY's as text."""
    if row.encoding == "copy":
        texts = split_line(row.data.rstrip(b"\n"))
        read: Sequence[object] = [None if text is None else text.decode(errors="replace") for text in texts]
    else:
        (read,) = wire.unpack_rows(row.data)
    return dict(zip((column.name for column in layout.columns), read, strict=True))


def standings(row: PartRows, layout: Layout, identity: Sequence[str]) -> tuple[str, str]:
    """Where the row of a part of one row stood before its change, and where it stands after it."""
    read = read_row(row, layout)
    after = standing([read[layout.value(column)] for column in identity])
    was = [read[column.name] for column in layout.was]
    return (standing(was) if read["op"] == "K" and was else after), after


def blank(row: PartRows, layout: Layout, kept: Sequence[str], *, values: bool, old: bool) -> PartRows:
    """The row without its ``values`` and parents, or without its ``old`` key; what tells it apart (``kept``) stays."""
    emptied = {column.name for column in layout.old} if old else set()
    if values:
        emptied |= {c.name for c in layout.values if c.column not in kept} | {c.name for p in layout.parents for c in p}
    keep = [column.name not in emptied for column in layout.columns]
    if row.encoding == "copy":
        fields = row.data.rstrip(b"\n").split(b"\t")
        line = b"\t".join(field if stays else b"\\N" for field, stays in zip(fields, keep, strict=True))
        return replace(row, data=line + b"\n")
    (read,) = wire.unpack_rows(row.data)
    return replace(row, data=wire.pack_rows([[v if stays else None for v, stays in zip(read, keep, strict=True)]]))
