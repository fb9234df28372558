"""How SQLite describes a table, and what its triggers must be told of it."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from cdc_sync.core.change import Column, Kind, Shape, Table, Unique
from cdc_sync.databases.base import Tracked
from cdc_sync.databases.sqlfiles import columns, quote
from cdc_sync.errors import ConfigError

# In the order of SQLite's own rules for affinity, with the names that tell more in front (https://sqlite.org/datatype3.html).
_KINDS = (
    ("bool", Kind.BOOLEAN),
    ("uuid", Kind.UUID),
    ("json", Kind.JSON),
    ("int", Kind.INTEGER),
    ("char", Kind.TEXT),
    ("clob", Kind.TEXT),
    ("text", Kind.TEXT),
    ("blob", Kind.BYTES),
    ("real", Kind.FLOAT),
    ("floa", Kind.FLOAT),
    ("doub", Kind.FLOAT),
    ("timestamp", Kind.TIMESTAMP),
    ("datetime", Kind.TIMESTAMP),
    ("date", Kind.DATE),
    ("time", Kind.TIME),
    ("num", Kind.NUMERIC),
    ("dec", Kind.NUMERIC),
)

_ROWIDS = ("rowid", "oid", "_rowid_")
"""The names of a row's number, where no column has them (https://sqlite.org/lang_createtable.html#rowid)."""


def described(rows: Sequence[tuple[Any, ...]]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Columns and primary key from ``columns.sql``.

    Only a rowid, or a column that says so, may not be null: SQLite lets other primary keys be null.
    """
    primary_key = tuple(row[1] for row in sorted(rows, key=lambda row: row[6]) if row[6])
    number = rowid_alias(rows)
    collated = collations(rows[0][10]) if rows[0][10] else {}
    found = tuple(
        Column(
            name=name,
            kind=kind_of(declared),
            declared=declared,
            nullable=not (required or name == number),
            generated=hidden in (2, 3),
            supplied=default is not None or name == number,
            collation=collated.get(name.lower(), ""),
        )
        for _, name, declared, required, hidden, default, *_ in rows
        if hidden != 1
    )
    return found, primary_key


_PIECE = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$]+|\s+|.""", re.DOTALL
)
"""A word, a string, a comment or a sign of SQLite's."""


def collations(definition: str) -> dict[str, str]:
    """The collations that a table's definition gives to its columns, quoted, by the columns' names in lower case.

    No pragma tells them. ``binary``, which is what columns have anyway, is left out.
    """
    found: dict[str, str] = {}
    depth, begins, name, before = 0, False, "", ""
    for piece in _PIECE.findall(definition):
        if piece.isspace() or piece.startswith(("--", "/*")):
            continue
        depth -= piece == ")"
        if depth == 1 and begins:
            name, begins = _named(piece), False
        elif depth == 1 and before.lower() == "collate":
            found[name.lower()] = quote(_named(piece))
        begins = (piece == "(" and depth == 0) or (piece == "," and depth == 1)
        depth += piece == "("
        before = piece
    return {column: collation for column, collation in found.items() if collation.lower() != '"binary"'}


def _named(piece: str) -> str:
    """A name, without what it is quoted in."""
    closing = {"[": "]"}.get(piece[0], piece[0])
    quoted = piece[0] in "[\"'`"
    return piece[1:-1].replace(closing * 2, closing) if quoted else piece


def rowid_alias(rows: Sequence[tuple[Any, ...]]) -> str:
    """The column that is the row's number itself: an integer primary key that needs no index; or nothing."""
    keys = [row[1] for row in rows if row[6]]
    return keys[0] if len(keys) == 1 and not rows[0][7] else ""


def exclusive(rows: Sequence[tuple[Any, ...]], indexes: Sequence[Sequence[tuple[Any, ...]]]) -> tuple[Unique, ...]:
    """Everything that keeps two rows apart, from ``columns.sql`` and ``uniques.sql``; expressions are left out.

    A null that a REPLACE finds in a column which may not be null becomes the column's default first.
    """
    stands_in = {row[1]: str(row[5]) for row in rows if row[3] and row[5] is not None}
    found = [
        tuple((row[2], row[3], stands_in.get(row[2], "")) for row in index)
        for index in indexes
        if all(row[2] for row in index)
    ]
    number = rowid_alias(rows) or _hidden_number(rows)
    return (*((((number, "", ""),),) if number else ()), *found)


def involved(columns: Sequence[Column], indexes: Sequence[Sequence[tuple[Any, ...]]]) -> tuple[str, ...]:
    """The columns on which unique indexes may hang otherwise than plainly: all, where there is any such index."""
    made = {column.name for column in columns if column.generated}
    odd = any(row[2] is None or row[2] in made or row[4] for index in indexes for row in index)
    return tuple(column.name for column in columns if not column.generated) if odd else ()


def _hidden_number(rows: Sequence[tuple[Any, ...]]) -> str:
    names = {row[1].lower() for row in rows}
    return "" if rows[0][8] else next((name for name in _ROWIDS if name not in names), "")


def kind_of(declared: str) -> Kind:
    lower = declared.lower()
    return next((kind for part, kind in _KINDS if part in lower), Kind.OTHER if not lower else Kind.NUMERIC)


class Affinity(StrEnum):
    """What a column does to values (https://sqlite.org/datatype3.html, 3.4)."""

    INTEGER = "integer"
    TEXT = "text"
    BLOB = "blob"
    REAL = "real"
    NUMERIC = "numeric"


_AFFINITIES = (
    (Affinity.INTEGER, ("int",)),
    (Affinity.TEXT, ("char", "clob", "text")),
    (Affinity.BLOB, ("blob",)),
    (Affinity.REAL, ("real", "floa", "doub")),
)
"""In the order of SQLite's own rules (datatype3.html, 3.1)."""


def affinity(declared: str) -> Affinity:
    lower = declared.lower()
    if not lower:
        return Affinity.BLOB
    return next((found for found, parts in _AFFINITIES if any(part in lower for part in parts)), Affinity.NUMERIC)


def change_columns(tracked: Tracked) -> str:
    """The columns of a change table, with the affinity of the table's own: expressions mean there what they mean here.

    Every value has gone through that affinity before, and stays what it is. Collations are left out: a key that changes
    from ``a`` to ``A`` is another key. ``any`` is untyped in strict tables, and might be a number's elsewhere.
    """
    declared = dict(tracked.declared)
    columns = [*tracked.shape.names, *tracked.old]
    like = [*tracked.shape.names, *tracked.watched]
    return ",\n    ".join(_typed(column, declared.get(name, "")) for column, name in zip(columns, like, strict=True))


def _typed(column: str, declared: str) -> str:
    found = affinity(declared)
    plain = found is Affinity.BLOB or declared.lower() == "any"
    return quote(column) if plain else f"{quote(column)} {found.value}"


def check_names(shape: Shape) -> None:
    """Raise ConfigError for the two names that SQLite gives no column of a subquery (sqlite3ColumnsFromExprList)."""
    odd = next((name for name in shape.names if name.lower() in ("true", "false")), None)
    if odd is not None:
        raise ConfigError(
            f"column {odd!r} of table {shape.name!r} cannot be captured under this name",
            hint="rename it, or exclude it",
        )


def when_changed(tracked: Tracked) -> str:
    """A when clause for updates that change a value or its storage class; row values keep the expression flat."""
    if not tracked.settings.skip_unchanged:
        return ""
    images = [
        f"({', '.join(f'{row}.{quote(name)} collate binary' for name in tracked.shape.names)})"
        for row in ("old", "new")
    ]
    classes = [
        f"({', '.join(f'typeof({row}.{quote(name)})' for name in tracked.shape.names)})" for row in ("old", "new")
    ]
    return f"when {images[0]} is not {images[1]} or {classes[0]} is not {classes[1]}\n"


def collision_holes(table: Table, shape: Shape) -> dict[str, str]:
    """Conditions on the rows that stand in the way of a new one, for ``capture/triggers.sql``."""
    conditions = [" and ".join(_meets(*member) for member in unique) for unique in table.exclusive]
    other = "not (" + " and ".join(f"{quote(column)} is old.{quote(column)}" for column in shape.identity) + ")"
    named = dict.fromkeys(column for unique in table.exclusive for column, *_ in unique)
    taken = {name.lower() for name in table.names}
    numbers = [name for name in _ROWIDS if name not in taken and name not in named]
    return {
        "colliding": " or ".join(f"({condition})" for condition in conditions) or "0",
        "other": other,
        "exclusive": columns((*(named or shape.identity), *numbers)),
    }


def _meets(column: str, collation: str, default: str) -> str:
    mine = f"{quote(column)} collate {quote(collation)}" if collation else quote(column)
    coming = f"coalesce(new.{quote(column)}, {default})" if default else f"new.{quote(column)}"
    return f"{mine} = {coming}"


def sees(trigger: str, table: Table) -> bool:
    """Whether a trigger knows all that keeps the table's rows apart: an index may have come since it was made."""
    return all(" and ".join(_meets(*member) for member in unique) in trigger for unique in table.exclusive)
