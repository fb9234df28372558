"""Rows on their way into PostgreSQL's staging tables: as COPY text, and what the server said of a row it refused.

The server rounds and cuts where a type says so. Nothing of that may happen silently: what can be asked of the server
itself is asked while it copies (``kept``), the rest is asked of the text before it gets there.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cdc_sync.core import spelling, values, wire
from cdc_sync.core.change import Kind
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import sqlfiles
from cdc_sync.databases.base import Target
from cdc_sync.databases.refusals import check, refused
from cdc_sync.errors import RefusedRow

Writers = Mapping[type, Callable[[values.Storage], str]]

_WHY = {
    "22001": "a text longer than its type {declared}",
    "22003": "a number out of the range of its type {declared}",
    "22021": "bytes that are no text in the server's encoding",
    "22P05": "a character that the server cannot store",
}
_UNREADABLE = "a value that arrived: it is no {declared}"
_BAD_FORMAT = "22P04"
"""The lines themselves are wrong, and no row can help it."""

_DECIMAL = re.compile(r"numeric\((\d+),(-?\d+)\)")
_ROUNDED = re.compile(r"(timestamp|time)\(\d\)( with(?:out)? time zone)")
_ARRAY = re.compile(r"((?:numeric|timestamp|time|interval|character varying)[^(]*)\([\d,-]+\)(.*\[\])")

_OWN_TYPE = re.compile(
    r"(bigint|integer|smallint|text|boolean|double precision|real|numeric|bytea|uuid|jsonb?|date|interval"
    r"|time(stamp)? with(out)? time zone|character( varying)?\(\d+\)|character varying)(\[\])?"
)


def staged_type(declared: str) -> str:
    """The type that a column is staged in: without a scale, so that a value arrives as it is."""
    if _DECIMAL.fullmatch(declared):
        return "numeric"
    if declared.startswith("interval") and not declared.endswith("]"):
        return "interval"
    return _ARRAY.sub(r"\1\2", _ROUNDED.sub(r"\1\2", declared)) if "(" in declared else declared


def outlasts(declared: Iterable[str]) -> bool:
    """Whether a table of these types may outlive a transaction: nobody else's type could be dropped or altered then."""
    return all(map(_OWN_TYPE.fullmatch, declared))


def kept(name: str, declared: str) -> str | None:
    """The condition under which a staged value stays what it is in its column; None where it always does."""
    if staged_type(declared) == declared:
        return None
    column, decimal = sqlfiles.quote(name), _DECIMAL.fullmatch(declared)
    if decimal:
        limit = f"1e{int(decimal[1]) - int(decimal[2])}"
        fits = f"scale({column}) <= {decimal[2]} or {column} = round({column}, {decimal[2]})"
        return f"({column} = 'NaN' or abs({column}) < {limit} and ({fits})) is not false"
    if declared.startswith("interval"):
        return f"(cast({column} as text) = cast(cast({column} as {declared}) as text)) is not false"
    return f"({column} = cast({column} as {declared})) is not false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines of COPY text, where their values go, and the encoding of the server."""

    columns: Sequence[Staged]
    targets: Sequence[Target]
    data: bytes
    encoding: str

    @property
    def conditions(self) -> list[tuple[Target, str]]:
        """For those columns that may change a value once it is staged: the condition under which they do not."""
        pairs = zip(self.columns, self.targets, strict=True)
        return [(target, condition) for c, target in pairs if (condition := kept(c.name, target.declared))]


def as_copy(data: bytes, targets: Sequence[Target]) -> bytes:
    """Rows as COPY text. Raises RefusedRow for a value that its column cannot hold."""
    writers: list[Writers] = [
        values.ANYTHING if target.absent else values.writers(target.kind, target.declared) for target in targets
    ]
    lines: list[str] = []
    found: list[RefusedRow] = []
    for number, row in enumerate(wire.unpack_rows(data)):
        try:
            lines.append("\t".join([by_class[type(v)](v) for by_class, v in zip(writers, row, strict=True)]))
        except values.Unholdable:
            found.append(_refused(number, row, writers, targets))
    check(found)
    lines.append("")
    return "\n".join(lines).encode()


def _refused(number: int, row: wire.Row, writers: Sequence[Writers], targets: Sequence[Target]) -> RefusedRow:
    for by_class, value, target in zip(writers, row, targets, strict=True):
        try:
            by_class[type(value)](value)
        except values.Unholdable as error:
            return refused(str(error), row=number, table=target.table, target=target)
    raise AssertionError("a value that was refused a moment ago is taken now")


def check_lines(data: bytes, columns: Sequence[Staged], targets: Sequence[Target]) -> None:
    """Raise RefusedRow for a text that its column would read as something else. Most tables have no such columns."""
    checks = dict(_checks(columns, targets))
    cut = [i for i, target in enumerate(targets) if _cuts_blanks(target)]
    if cut and (b" \t" in data or b" \n" in data):
        checks |= {i: length for i in cut if (length := spelling.text(Kind.TEXT, targets[i].declared))}
    if checks:
        check(list(_misread(data, checks, targets)))


def _misread(data: bytes, checks: Mapping[int, spelling.Check], targets: Sequence[Target]) -> Iterator[RefusedRow]:
    for number, line in enumerate(data.splitlines()):
        texts = line.split(b"\t")
        for i, look in checks.items():
            try:
                if texts[i] != b"\\N":
                    look(values.unescape(texts[i]).decode())
            except values.Unholdable as error:
                yield refused(str(error), row=number, table=targets[i].table, target=targets[i])


def _checks(columns: Sequence[Staged], targets: Sequence[Target]) -> Iterator[tuple[int, spelling.Check]]:
    """What to ask of which column: of those that hold another kind there, and of types that lose something silently."""
    for i, (column, target) in enumerate(zip(columns, targets, strict=True)):
        check = spelling.text(target.kind, target.declared)
        other = target.column and column.kind is not target.kind and (column.kind, target.kind) not in _ALIKE
        if column.kind is Kind.BYTES and target.column and target.kind is not Kind.BYTES:
            yield i, _refuse_bytes
        elif check is not None and (other or staged_type(target.declared) in _LOSSY):
            yield i, check


_LOSSY = ("real", "time without time zone")
_ALIKE = ((Kind.INTEGER, Kind.NUMERIC), (Kind.FLOAT, Kind.NUMERIC))
"""From, to: what a server writes for the one, it reads as the same number for the other, or refuses."""


def _refuse_bytes(_: str) -> NoReturn:
    raise values.Unholdable("bytes in a column of another kind")


def _cuts_blanks(target: Target) -> bool:
    return target.declared.startswith("character varying(") and not target.declared.endswith("]")


def foreign(columns: Sequence[Staged], targets: Sequence[Target], part: PartRows) -> list[int]:
    """Columns of types of the server's own, where no server wrote the values: it must spell them as they are."""
    return [
        i
        for i, (column, target) in enumerate(zip(columns, targets, strict=True))
        if target.column and target.kind is Kind.OTHER and (part.encoding == "rows" or column.kind is not Kind.OTHER)
    ]


def texts(data: bytes, indexes: Sequence[int]) -> list[list[str | None]]:
    """The values of some columns."""
    rows = [values.split_line(line) for line in data.splitlines()]
    return [[None if (text := row[i]) is None else text.decode(errors="replace") for row in rows] for i in indexes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What the server refused, and the number of its column, if that is known."""

    error: RefusedRow
    column: int | None


def refusal(code: str, place: str, lines: Lines) -> Refusal | None:
    """Which row it was, where the server says it: ``, line 3, column v2: "..."``.

    ``place`` is what its context says behind the staging table's name. The words are in the server's own language, so
    only the line's number and the column's name are looked for.
    """
    names = [column.name for column in lines.columns]
    found = re.match(rf"\D{{1,20}}(\d+)(?:\D{{1,20}}?\b({'|'.join(map(re.escape, names))})(?!\w))?", place)
    if found is None or code == _BAD_FORMAT or not (found[2] or code.startswith("22")):
        return None
    row = int(found[1]) - 1
    column = names.index(found[2]) if found[2] else _unwritable(row, lines)
    target = None if column is None else lines.targets[column]
    why = _WHY.get(code, _UNREADABLE).format(declared=target.declared if target else "text")
    error = refused(why, row=row, table=lines.targets[0].table, target=target, code=code)
    return Refusal(error=error, column=column)


def unreadable(places: Iterable[int], target: Target) -> list[RefusedRow]:
    """Rows, counted from 1, whose text the type does not take."""
    why = _UNREADABLE.format(declared=target.declared)
    return [refused(why, row=place - 1, table=target.table, target=target, code="22P02") for place in places]


def _unwritable(row: int, lines: Lines) -> int | None:
    """The column whose text the server's encoding cannot hold; the server itself looks at whole lines."""
    for column, text in enumerate(lines.data.splitlines()[row].split(b"\t")):
        try:
            text.decode().encode(lines.encoding)
        except UnicodeError:
            return column
        except LookupError:  # an encoding that only the server knows
            return None
    return None


def check_rounded(lines: Lines, odd: Collection[str], target: Target) -> None:
    """Raise RefusedRow for the rows whose first values are these."""
    why = f"a value out of the range of its type {target.declared}, or with more digits than it keeps"
    firsts = enumerate(line.partition(b"\t")[0].decode() for line in lines.data.splitlines())
    rows = [row for row, first in firsts if first in odd]
    check([refused(why, row=row, table=target.table, target=target, code="22003") for row in rows])


def check_respelled(places: Iterable[int], target: Target) -> None:
    """Raise RefusedRow for rows, counted from 1, whose text the server reads and would write otherwise."""
    why = f"a value that is not written as its type {target.declared} writes it"
    check([refused(why, row=place - 1, table=target.table, target=target, code="22000") for place in places])
