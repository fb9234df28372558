"""Rows of batches as people read them: columns by name, and a parent's natural key in place of its local id.

A reference shows the leaves of its parent's natural key, called as ``core.keys.leaves`` calls them, such as
``subject_id>subject_identifier``: they mean the same on every node, which the id does not.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cdc_sync.core import letters, wire
from cdc_sync.core.change import WORDS, Op, Shape, Shapes
from cdc_sync.core.keys import leaves, owner
from cdc_sync.core.layout import Layout, layout
from cdc_sync.core.wire import PartRows
from cdc_sync.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a row. ``columns`` are those that travel; of a deleted row only its key counts.

    ``stands``: where the row stands at its origin; ``stood``: where it stood before. ``here``, ``there``: whether any
    row stands at these two once the batch is sealed.
    """

    op: str
    columns: Mapping[str, object]
    stands: str
    stood: str
    here: bool
    there: bool

    @property
    def word(self) -> str:
        """What happened, in the words of the DBA's file."""
        return WORDS.get(self.op, self.op)


class Reader:
    """Reads the rows of one table of one batch."""

    def __init__(self, shapes: Shapes, table: str, *, keyed: bool) -> None:
        self.shape = shapes[table]
        self.layout = layout(shapes, table, keyed=keyed)
        self._places = places(shapes, table, self.layout)
        self._old = {column.name: column.column for column in self.layout.old}

    def changes(self, rows: PartRows) -> Iterator[Change]:
        """A part's rows in order."""
        for row in letters.single_rows(rows):
            yield self._change(letters.read_row(row, self.layout))

    def _change(self, read: Mapping[str, object]) -> Change:
        op = str(read["op"])
        columns = {name: shown(read[place]) for name, place in self._places.items()}
        if op == Op.DELETE:
            columns |= {leaf: shown(read[place]) for place, leaf in self._old.items()}
        stands = letters.standing([read[self.layout.value(column)] for column in self.shape.identity])
        was = [read[column.name] for column in self.layout.was]
        return Change(
            op=op,
            columns=columns,
            stands=stands,
            stood=letters.standing(was) if op == Op.KEY and was else stands,
            here=str(read.get("here", 1)) == "1",
            there=str(read.get("there", 0)) == "1",
        )


def places(shapes: Shapes, table: str, laid: Layout) -> dict[str, str]:
    """Columns as people read them, in the table's order, each with the staged column that holds it."""
    shape, found = shapes[table], dict[str, str]()
    for staged in laid.values:
        reference = owner(shape, staged.column)
        if reference is None:
            found[staged.column] = staged.name
            continue
        parents = laid.parents[shape.references.index(reference)]
        names = paths(shapes, shape, staged.column)
        found |= {name: parent.name for name, parent in zip(names, parents, strict=True)}
    return found


def paths(shapes: Shapes, shape: Shape, column: str) -> list[str]:
    """What a column is called for people: itself, or the leaves that a reference stands for."""
    reference = owner(shape, column)
    if reference is None:
        return [column]
    return [f"{','.join(reference.columns)}>{leaf.name}" for leaf in leaves(shapes, reference.table)]


def shown(value: object) -> object:
    """A value that can be printed, and written as JSON."""
    if isinstance(value, wire.NotUtf8):
        return "\\x" + value.data.hex()
    return "\\x" + bytes(value).hex() if isinstance(value, (bytes, bytearray, memoryview)) else value


def text(value: object) -> str:
    """A value as one types it; nothing for NULL."""
    return "" if value is None else str(value)


def named(shapes: Shapes, table: str, column: str) -> str:
    """The column that a person means. Raises ConfigError where there is none, or where it stands for several."""
    known = {name for each in shapes[table].names for name in paths(shapes, shapes[table], each)}
    if column in known:
        return column
    if column in shapes[table].names:
        found = paths(shapes, shapes[table], column)
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"column {column!r} of table {table!r} stands for several of its parent's", hint=f"name one: {found}"
        )
    near = difflib.get_close_matches(column, sorted(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(sorted(known))
    raise ConfigError(f"table {table!r} has no column {column!r} that travels", hint=hint)


def conditions(texts: Iterable[str]) -> dict[str, str]:
    """``column=value``, each. Raises ConfigError."""
    found: dict[str, str] = {}
    for each in texts:
        column, equals, value = each.partition("=")
        if not equals or not column.strip():
            raise ConfigError("a condition names no column", hint='write --where "column=value"')
        found[column.strip()] = value.strip()
    return found


def fits(change: Change, wanted: Mapping[str, str]) -> bool:
    """Whether a row has these values; an empty one stands for NULL too."""
    return all(text(change.columns.get(column)) == value for column, value in wanted.items())


@dataclass(slots=True)
class Standing:
    """What the rows of one table come to, change after change of each origin: the last of each row, if it lives."""

    rows: dict[tuple[str, str], Change] = field(default_factory=dict)

    def follow(self, origin: str, change: Change) -> None:
        """Take in the next change.

        Rows are told apart as their origin tells them apart, so a row that got another key is the same row; and where a
        statement shifted many of them, whoever stands at a place in the end is not removed with who left it.
        """
        if change.op == Op.DELETE:
            if not change.here:
                self.rows.pop((origin, change.stands), None)
            return
        if change.stood != change.stands and not change.there:
            self.rows.pop((origin, change.stood), None)
        self.rows[origin, change.stands] = change

    def values(self, column: str) -> set[str]:
        """What the living rows hold in a column; NULL is nothing to look for."""
        return {text(c.columns[column]) for c in self.rows.values() if c.columns.get(column) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Identifiers that were scanned, held against those that are carried."""

    matched: Sequence[str]
    missing: Sequence[str]
    unexpected: Sequence[str]
    duplicates: Sequence[str]

    @property
    def differs(self) -> bool:
        return bool(self.missing or self.unexpected or self.duplicates)


def reconcile(carried: set[str], scanned: Iterable[str]) -> Reconciled:
    """``missing``: carried and not scanned; ``unexpected``: scanned and not carried; ``duplicates``: scanned again.

    Blanks around what was scanned do not count, nor do empty lines.
    """
    seen: dict[str, int] = {}
    for line in scanned:
        if identifier := line.strip():
            seen[identifier] = seen.get(identifier, 0) + 1
    return Reconciled(
        matched=sorted(carried & seen.keys()),
        missing=sorted(carried - seen.keys()),
        unexpected=sorted(seen.keys() - carried),
        duplicates=sorted(identifier for identifier, times in seen.items() if times > 1),
    )
