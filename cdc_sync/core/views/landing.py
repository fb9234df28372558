"""Landing: where rows go that are sent to a view, and which of them belong there.

A view that is a proxy of its table is written *directly*: the rows go to the table, under its own column names, and
what the view's condition says of columns that do not come (``kind = 'infant'``) is filled in. A view with triggers or
rules of its own is written *through*, and so is any other that its database can write. From there on nothing knows of
two names for one thing: the unit keeps the view's name, its shape is the table's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from cdc_sync.core.change import Column, Kind, Reference, Shape, Shapes, Table, View
from cdc_sync.core.keys import owner, parents_first
from cdc_sync.core.renames import Rename, Renames
from cdc_sync.core.wire import decode_shown
from cdc_sync.errors import RejectedBatch, SchemaMismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where the rows of a unit go whose name is that of a view (``shown``, as it is described).

    ``table`` is what is written: the base, or with ``through`` the view itself. ``columns`` are those of the rows'
    that are called otherwise there; what goes nowhere has a name that the table does not have. ``constants`` are the
    columns that come and are the same in all rows of the view, by that name, and ``fixed`` those of the base that are
    filled in: each with its literal. ``pinned`` are fixed too, and without them the natural key is not unique in the
    base. ``own`` are numbers that are the origin's own, which no view is to be given.
    """

    name: str
    shown: Table
    table: Table
    through: bool
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    pinned: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        return self.shown.view or View()

    @property
    def called(self) -> str:
        """What is written, in words."""
        return f"view {self.name!r}" if self.through else f"table {self.view.table!r} of view {self.name!r}"

    @property
    def guards(self) -> bool:
        """Whether a row may be written and not belong."""
        return bool(self.through or self.view.condition or self.constants)

    def typed(self, column: str) -> Column | None:
        """How a column is to be staged that is compared with a constant of the view."""
        return self.shown.column(self.came(column)) if column in self.constants else None

    def came(self, column: str) -> str:
        """What a column of what is written was called when it came."""
        return next((name for name, there in self.columns.items() if there == column), column)

    def belonging(self) -> str:
        """Which rows belong, in words; no row's values."""
        said = [f"column {name!r} is always {literal}" for name, literal in self.view.constants]
        if self.view.condition:
            said.append(f"its condition is {self.view.condition}")
        return "; ".join(said) or "it does not show what was written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """Shapes and tables as rows are written, and the landings of those units that are views at the target."""

    shapes: Shapes
    described: Mapping[str, Table]
    landings: Mapping[str, Landing] = field(default_factory=dict)

    def order(self) -> list[str]:
        """The units, every parent before its children: also a parent that lands where another unit's rows do."""
        if not self.landings:
            return parents_first(self.shapes)
        return parents_first({name: replace(s, after=(*s.after, *self._also(s))) for name, s in self.shapes.items()})

    def _also(self, shape: Shape) -> Iterator[Reference]:
        for reference in (*shape.references, *shape.after):
            yield from (replace(reference, table=name) for name in self.alike(reference.table))

    def alike(self, name: str) -> list[str]:
        """Other units whose rows are written to the same table."""
        if name not in self.described or not self.landings:
            return []
        called = self.described[name].called
        return [n for n in self.shapes if n != name and n in self.described and self.described[n].called == called]

    def captured(self, name: str) -> str:
        """What a file here calls the table to which a unit's rows are written, if it is captured here."""
        landing = self.landings.get(name)
        return landing.view.table if landing is not None and not landing.through else name

    def came(self, name: str, column: str) -> str:
        """What a unit's column was called when it came."""
        return self.landings[name].came(column) if name in self.landings else column

    def alone(self, name: str) -> "Landed":
        """The same with one of the shapes."""
        return replace(self, shapes={name: self.shapes[name]})

    @property
    def stored(self) -> list[Table]:
        """The tables whose rows are written or looked up, as far as that is known of a view."""
        return [self.landings[n].shown.stored if n in self.landings else table for n, table in self.described.items()]

    def kin(self, name: str) -> list[str]:
        """Units whose rows come from the same table as this one's, and go to the same: what tells them apart is one.

        Views say from which table they come; where they do not show its primary key, nobody can tell.
        """
        return [other for other in self.alike(name) if self._comes(name) and self._comes(name) == self._comes(other)]

    def _comes(self, name: str) -> tuple[str, int] | None:
        shape, landing = self.shapes[name], self.landings.get(name)
        if not shape.shows or set(shape.identity) == set(shape.key) or (landing is not None and landing.through):
            return None
        table = _shown(shape)
        return (table, len(shape.identity)) if table else None

    def column(self, name: str, column: str) -> Column | None:
        """How a column of what is written is described, or of the view where it is compared with a constant."""
        if name not in self.described:
            return None
        typed = self.landings[name].typed(column) if name in self.landings else None
        return typed or self.described[name].column(column)

    def check(self, names: Iterable[str], where: str) -> None:
        """Raise SchemaMismatch for a view that takes no rows."""
        for name in names:
            if name in self.landings:
                _check(self.landings[name], self.shapes[name], where)
                self._check_leaving(self.landings[name], where)

    def _check_leaving(self, landing: Landing, where: str) -> None:
        """Raise SchemaMismatch where a row may leave the view, stay in another one, and not be told from one that did
        not leave: what the view's condition asks for does not come with the other one's rows.
        """
        for other in self.alike(landing.name) if not landing.through else ():
            there = self.landings.get(other)
            if there is not None and (there.through or _apart(landing.view, there.view)):
                continue
            come = {*self.shapes[other].names, *(there.fixed if there else ())}
            lacks = next((column for column in landing.view.reads if column not in come), None)
            if lacks is not None and _shown(self.shapes[landing.name]) == _shown(self.shapes[other]):
                raise SchemaMismatch(
                    f"{where}: rows of {landing.name!r} may be rows of {other!r} too, in one table; whether one of "
                    f"these still belongs to {landing.name!r} depends on column {lacks!r}, which {other!r} does not "
                    "send",
                    hint=f"have {other!r} send {lacks!r} too, or give one of them a table of its own there",
                )


def _shown(shape: Shape) -> str:
    """The table at the origin of which a unit shows rows: its own, or that of the view; nothing where nobody knows."""
    try:
        return decode_shown(shape.shows)[1].table if shape.shows else shape.name
    except RejectedBatch:  # what nobody can read says nothing; the rows themselves are whole
        return ""


def _apart(one: View, other: View) -> bool:
    """Whether two views are known to show no row in common."""
    there = dict(other.fixed)
    return any(there.get(column, literal) != literal for column, literal in one.fixed)


def land(shapes: Shapes, described: Mapping[str, Table]) -> Landed:
    """Where the rows of these shapes go at a target with these tables; whether they can is for ``check``."""
    found = {
        name: _landing(shapes[name], table)
        for name, table in described.items()
        if table.view is not None and name in shapes
    }
    if not found:
        return Landed(shapes=shapes, described=described)
    renames = Renames({name: Rename(columns=one.columns) for name, one in found.items()})
    renamed = renames.named(shapes)
    return Landed(
        shapes=renamed,
        described={name: found[name].table if name in found else table for name, table in described.items()},
        landings={name: _pinned(one, renamed[name]) for name, one in found.items()},
    )


def _landing(shape: Shape, shown: Table) -> Landing:
    view = shown.view or View()
    plain = _plain(view, shape)
    if view.base is None or view.fired or not plain.keys() >= set(shape.key):
        return _through(shape, shown)
    names = {**_left(shape, view.base), **plain, **_number(shape, shown, view.base, plain)}
    columns = {name: names[name] for name in shape.names}
    return Landing(
        name=shape.name,
        shown=shown,
        table=view.base,
        through=False,
        columns={name: there for name, there in columns.items() if there != name},
        constants={columns[name]: literal for name, literal in view.constants if name in columns},
        fixed={
            name: literal
            for name, literal in view.fixed
            if name not in columns.values() and not _is_generated(view.base, name)
        },
    )


def _through(shape: Shape, shown: Table) -> Landing:
    """Nothing keeps two rows of a view apart, as far as its database says."""
    table = replace(shown, view=None, uniques=(), immediate=(), exclusive=(), involved=(), branches=())
    own = [
        name
        for name in shape.identity
        if not (shown.primary_key or name in shape.key or owner(shape, name)) and shape.kind(name) is Kind.INTEGER
    ]
    return Landing(name=shape.name, shown=shown, table=table, through=True, own=tuple(own))


def _plain(view: View, shape: Shape) -> dict[str, str]:
    """Columns of a view that stand for one of its base's; of two that stand for one, that of the key."""
    found: dict[str, str] = {}
    for name, there in sorted(view.plain, key=lambda pair: pair[0] not in shape.key):
        if there not in found.values() and not (view.base and _is_generated(view.base, there)):
            found[name] = there
    return found


def _left(shape: Shape, base: Table) -> dict[str, str]:
    """Names for what the view does not show plainly, which stays at the origin whatever the base has."""
    return {name: f"{shape.name}.{name}" if base.column(name) else name for name in shape.names}


def _number(shape: Shape, shown: Table, base: Table, plain: Mapping[str, str]) -> dict[str, str]:
    """What tells rows apart is the base's primary key where the view shows neither: children refer to it."""
    if len(shape.identity) != 1 or len(base.primary_key) != 1:
        return {}
    (name,), (there,) = shape.identity, base.primary_key
    return {} if shown.column(name) or name in shape.key or there in plain.values() else {name: there}


def _is_generated(table: Table, name: str) -> bool:
    column = table.column(name)
    return column is not None and column.generated


def _pinned(landing: Landing, shape: Shape) -> Landing:
    fixed, key = dict(landing.view.fixed), set(shape.key)
    if landing.through or any(key.issuperset(unique) for unique in landing.table.uniques):
        return landing
    firm = landing.table.told_apart_by(())
    wider = (unique for unique in landing.table.uniques if firm and {*key, *fixed}.issuperset(unique))
    pinned = [name for name in next(wider, ()) if name not in key]
    return replace(landing, pinned={name: fixed[name] for name in pinned})


def _check(landing: Landing, shape: Shape, where: str) -> None:
    view, name = landing.view, landing.name
    if view.fired and not view.writable:
        raise SchemaMismatch(
            f"{where}: view {name!r} has triggers or rules of its own, and not for insert, update and delete alike",
            hint="create those that are missing, or drop them all: then rows go directly to its table",
        )
    if view.base is None and not view.writable:
        raise SchemaMismatch(
            f"{where}: {view.refusal}, and it takes no rows itself",
            hint='create INSTEAD OF triggers for insert, update and delete on it, or name a table: target = "..."',
        )
    if landing.through and view.base is not None and not view.fired:
        column = next(column for column in shape.key if column not in _plain(view, shape))
        what = "has no" if landing.shown.column(column) is None else "does not take as it is"
        raise SchemaMismatch(
            f"{where}: view {name!r} {what} key column {column!r}",
            hint="have it show the column itself, or create INSTEAD OF triggers for insert, update and delete on it",
        )
