"""Rows that a target cannot even stage, and how whatever is put aside is described."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cdc_sync.apply.records import Record
from cdc_sync.core import letters
from cdc_sync.core.change import Shape
from cdc_sync.core.layout import Layout
from cdc_sync.core.letters import Reason
from cdc_sync.core.wire import PartRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A row that could not be staged: where it ``was`` before its change, and where it stands after it.

    ``keyed`` says how it is laid out.
    """

    table: str
    seq: int
    op: str
    was: str
    standing: str
    keyed: bool
    rows: PartRows
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """All changes of one row that were put aside, as they were staged. ``standing`` is None once the row is gone."""

    table: str
    seq: int
    reason: Reason
    standing: str | None
    counts: Mapping[str, int]
    keyed: bool
    rows: PartRows
    record: Record | None = None


def refused(shape: Shape, laid: Layout, row: PartRows, keyed: bool, reason: Reason) -> Refused:
    """A row as it came, and what it says of itself."""
    read = letters.read_row(row, laid)
    was, standing = letters.standings(row, laid, shape.identity)
    return Refused(
        table=shape.name,
        seq=int(str(read["seq"])),
        op=str(read["op"]),
        was=was,
        standing=standing,
        keyed=keyed,
        rows=row,
        reason=reason,
    )


def left(rows: Iterable[Refused]) -> Iterator[Aside]:
    """What could not be staged, everything about one row together."""
    together: defaultdict[tuple[object, ...], list[Refused]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.seq):
        together[row.table, row.standing, row.keyed, row.rows.encoding].append(row)
    for same in together.values():
        last = same[-1]
        yield Aside(
            table=last.table,
            seq=same[0].seq,
            reason=last.reason,
            standing=None if last.op == "D" else last.standing,
            counts=Counter(row.op for row in same),
            keyed=last.keyed,
            rows=letters.joined([row.rows for row in same]),
        )
