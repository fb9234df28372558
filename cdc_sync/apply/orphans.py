"""Rows that wait for their parents."""

from collections.abc import Sequence
from typing import NamedTuple

from cdc_sync.errors import Deferred, counted


class Orphan(NamedTuple):
    """A staged change whose parent has not arrived."""

    table: str
    seq: int
    parent: str


class Missing(Deferred):
    """Rows whose parents have not arrived."""

    def __init__(self, rows: Sequence[Orphan]) -> None:
        table, parent = rows[0].table, rows[0].parent
        super().__init__(
            f"table {table!r}: parents of {counted(len(rows), 'row')} in table {parent!r} have not arrived",
            hint="they wait, and are applied once the parents are there",
        )
        self.rows = rows
