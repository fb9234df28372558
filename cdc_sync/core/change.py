"""The shapes that everything else talks about: tables as a database describes them, and as batches describe them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Op(StrEnum):
    """What happened to a row. The letters stand in change tables and in batches."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"
    KEY = "K"
    """An update that changed a key column: carries the old key beside the new row."""
    YIELD = "Y"
    """A row as it stands where a server may know better: inserted where none stands there, and never over one."""


COMES = (Op.INSERT, Op.YIELD)
"""Operations by which a row comes."""

WORDS: Mapping[str, str] = {
    Op.INSERT: "insert",
    Op.YIELD: "insert",
    Op.UPDATE: "update",
    Op.KEY: "update",
    Op.DELETE: "delete",
}
"""Operations in the words of the DBA's file."""


class Kind(StrEnum):
    """The canonical types that sit between databases; what a value means, not how it is stored."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    NUMERIC = "numeric"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    UUID = "uuid"
    JSON = "json"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as its database describes it.

    ``declared`` is the database's own type, without a domain around it; ``supplied`` means that the database
    fills the column when an insert leaves it out (default, identity, rowid), ``always`` that it takes no other value
    unless it is told to (identity always). ``collation`` is how its texts compare, quoted, where that is not how those
    of its type do.
    """

    name: str
    kind: Kind
    declared: str = ""
    nullable: bool = True
    generated: bool = False
    supplied: bool = False
    always: bool = False
    collation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key: ``columns`` of this table name the row of ``table`` whose ``target`` columns hold the same."""

    columns: tuple[str, ...]
    table: str
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a view shows, where each of its rows is a row of one table: a proxy of that table.

    ``table`` is what a file calls that table (``base``), however many other views lie between. ``expressions`` are the
    view's columns in order, each as SQL over the base's columns, which stand there quoted and alone; ``condition`` is
    the one for rows that it shows, empty for all; ``reads`` are the base's columns in it. ``plain`` are the columns
    that are taken as they are, each with the base's; ``constants`` those that are the same in all rows, each with its
    literal; ``fixed`` the base's columns that the condition sets equal to a literal: what a row has, if it belongs.
    ``fired``: triggers or rules say what is to be done when it is written. ``writable``: it takes inserts, updates and
    deletes, by these or by itself. ``collated`` are columns of the base that it computes with, and whose texts compare
    otherwise than those of their type do. ``refusal`` says, for any other view, in one sentence why it is none of these
    (``base`` is None then). SQL is that of the view's own database.
    """

    table: str = ""
    base: "Table | None" = None
    expressions: tuple[tuple[str, str], ...] = ()
    condition: str = ""
    reads: tuple[str, ...] = ()
    plain: tuple[tuple[str, str], ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    fired: bool = False
    writable: bool = False
    collated: tuple[str, ...] = ()
    refusal: str = ""


Unique = tuple[tuple[str, str, str], ...]
"""What keeps two rows apart: columns, each with its collation and what stands in for a null, where there are such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as its database describes it.

    ``uniques``: unconditional unique keys, the primary key included. ``immediate``: those of them under which a second
    row is refused at once, whatever the table says of it, as far as that is known. ``exclusive``: every unique index,
    conditional ones too, where the database may remove a row to make room for another (REPLACE). ``involved``: columns
    on which unique keys hang otherwise than plainly: by an expression, a condition, a generated column, an operator.
    ``branches``: schema and name of tables whose rows are this table's too (partitions, inheritance children);
    ``parent``: the one that this table is such a branch of. ``veiled``: policies hide rows from whoever describes it.
    ``view``: what it shows, where it is a view; what is said of keys and references is then what shows of the base's.
    """

    name: str
    schema: str | None
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[tuple[str, ...], ...] = ()
    immediate: tuple[tuple[str, ...], ...] = ()
    exclusive: tuple[Unique, ...] = ()
    involved: tuple[str, ...] = ()
    branches: tuple[tuple[str, str], ...] = ()
    partitioned: bool = False
    parent: str = ""
    veiled: bool = False
    references: tuple[Reference, ...] = ()
    view: View | None = None

    @property
    def stored(self) -> "Table":
        """The table whose rows these are: of a view its base, if it is a proxy."""
        return self.view.base if self.view and self.view.base else self

    def takes(self, name: str) -> bool:
        """Whether what is written to a column stands in it: a proxy makes some of its columns by itself."""
        if self.view is None or self.view.base is None or self.view.fired:
            return True
        return name in dict(self.view.plain) or name in dict(self.view.constants)

    @property
    def shown(self) -> View:
        """What it shows, where it is known to be a view; LookupError where it is none."""
        if self.view is None:
            raise LookupError(f"table {self.name!r} is no view")
        return self.view

    @property
    def called(self) -> str:
        """Its one name in its database, whatever a file calls it."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def told_apart_by(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """The columns that tell this table's rows apart: the primary key, or ``key`` where that may be null."""
        firm = all(not column.nullable for column in self.columns if column.name in self.primary_key)
        return self.primary_key if self.primary_key and firm else key


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A column that travels."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A synced table as a batch describes it, whichever database it came from.

    ``identity`` are the columns that tell rows apart at the source (its primary key, or else the natural key);
    ``key`` is the natural key; ``references`` are the foreign keys that are rewritten on the target; ``after`` are the
    ones to a parent's own natural key: nothing to rewrite, but the parent is written first all the same. ``shows`` says
    of a view what it shows, so that it can be made at the target (see ``core.wire.encode_shown``).
    """

    name: str
    fields: tuple[Field, ...]
    identity: tuple[str, ...]
    key: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    after: tuple[Reference, ...] = ()
    shows: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def kind(self, column: str) -> Kind:
        return next(field.kind for field in self.fields if field.name == column)


Shapes = Mapping[str, Shape]
"""All shapes that a batch needs, by table name: the captured tables and the parents that their keys run through."""


def watched(shape: Shape, shapes: Iterable[Shape], also: Iterable[str] = ()) -> tuple[str, ...]:
    """The columns whose change is a key change: natural key, identity, whatever children refer to, and ``also``."""
    pointed_at = {
        column
        for other in shapes
        for reference in other.references
        if reference.table == shape.name
        for column in reference.target
    }
    wanted = pointed_at.union(shape.key, shape.identity, also)
    return tuple(name for name in shape.names if name in wanted)
