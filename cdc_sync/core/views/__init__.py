"""Expressions of a view as text: which of its base's columns stand in them, and the same over something else.

The text is that of the view's own database (see ``change.View``): every column of the base stands in it quoted and
alone. Nothing else that is quoted can be taken for one: a collation follows ``collate``, a type ``::`` or ``as``, and
what is qualified or called has a point or a parenthesis beside it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cdc_sync.core.change import Column, Reference, Table, View

_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|\s+|.""", re.DOTALL)
_BEFORE = ("collate", "as", ".", ":")
"""What stands before a quoted name that is no column's."""

_AFTER = (".", "(")


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it is a column."""
    found = _PIECE.findall(text)
    solid = [i for i, piece in enumerate(found) if not piece.isspace()]
    around = {i: (before, after) for before, i, after in zip([-1, *solid], solid, [*solid[1:], -1], strict=False)}
    for i, piece in enumerate(found):
        before, after = around.get(i, (-1, -1))
        apart = (before >= 0 and found[before].lower() in _BEFORE) or (after >= 0 and found[after] in _AFTER)
        yield piece, piece.startswith('"') and not apart


def reads(text: str, kind: str) -> tuple[str, ...]:  # noqa: ARG001  both databases quote alike
    """The base's columns in an expression or condition, in order of appearance, each once."""
    return tuple(dict.fromkeys(unquoted(piece) for piece, is_column in pieces(text) if is_column))


def render(text: str, kind: str, column: Callable[[str], str], base: Table | None = None) -> str:
    """An expression or condition over something else; ``column`` gives the quoted text that stands for a column.

    Over a change table or staged rows it means what it means over ``base`` if that is given, and the columns there have
    the types (SQLite: the affinities) of the base's. Their collations are put in here, as those of columns and not of
    ``collate``, which goes before all others: in a subquery of one row.
    """
    collated = {c.name: c.collation for c in base.columns if c.collation} if base else {}
    names = reads(text, kind)
    if collated.keys().isdisjoint(names) or plain(text) is not None:
        return "".join(column(unquoted(piece)) if is_column else piece for piece, is_column in pieces(text))
    taken = (column(name) + (f" collate {collated[name]}" if name in collated else "") for name in names)
    listed = ", ".join(f"{value} as {quoted(name)}" for value, name in zip(taken, names, strict=True))
    return f"(select {text} from (select {listed}) as cdc_sync_alike)"  # noqa: S608  texts of a definition, and names quoted


def plain(text: str) -> str | None:
    """The column that a text is, if it is nothing but that."""
    found = list(pieces(text))
    return unquoted(text) if len(found) == 1 and found[0][1] else None


def unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"')


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def bare(text: str) -> str:
    """Without parentheses around the whole."""
    found = [piece for piece, _ in pieces(text)]
    while len(found) > 2 and found[0] == "(" and _closes(found) == len(found) - 1:
        found = found[1:-1]
    return "".join(found).strip()


def _closes(found: Sequence[str]) -> int:
    """Where the parenthesis at the beginning is closed."""
    depth = 0
    for i, piece in enumerate(found):
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            return i
    return -1


# --- a view as a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined:
    """A view as its origin defines it, under its own names; ``kind`` is that of the origin's database."""

    name: str
    kind: str
    view: View


def shown(view: View, columns: Sequence[Column], name: str, schema: str | None) -> Table:
    """A view as a table; ``columns`` are its own, as far as they are not plainly the base's."""
    if view.base is None:
        return Table(name=name, schema=schema, columns=tuple(columns), view=view)
    under: dict[str, str] = {}
    for own, theirs in view.plain:
        under.setdefault(theirs, own)
    plain = dict(view.plain)
    return Table(
        name=name,
        schema=schema,
        columns=tuple(_shown(view.base, plain, column) for column in columns),
        primary_key=next(iter(_all_shown([view.base.primary_key], under)), ()),
        uniques=tuple(_all_shown(view.base.uniques, under)),
        immediate=tuple(_all_shown(view.base.immediate, under)),
        veiled=view.base.veiled,
        references=tuple(_references(view.base.references, under)),
        view=view,
    )


def _shown(base: Table, plain: dict[str, str], column: Column) -> Column:
    theirs = base.column(plain[column.name]) if column.name in plain else None
    return replace(theirs, name=column.name) if theirs else column


def _all_shown(keys: Sequence[tuple[str, ...]], under: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for key in keys:
        if key and set(key) <= set(under):
            yield tuple(under[column] for column in key)


def _references(references: Sequence[Reference], under: dict[str, str]) -> Iterator[Reference]:
    for reference in references:
        for columns in _all_shown([reference.columns], under):
            yield replace(reference, columns=columns)
