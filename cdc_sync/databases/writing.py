"""What an apply writes, as statements that every database understands.

For one table: the staging table holds its changes (see ``core.layout``). They are reduced to the *fate* of each row
that lived before the batch, and to the last image of each row that lives after it. Rows are found by natural key; the
target's own primary keys stay, and references are set to them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from cdc_sync.core.change import Column, Kind, Reference, Shapes, Table
from cdc_sync.core.keys import Plain, owner, steps
from cdc_sync.core.layout import Layout
from cdc_sync.core.views.landing import Landing
from cdc_sync.databases.base import Database, constant

Expression = sa.ColumnElement[Any]


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Builds the statements that apply one table's staged changes.

    ``targets`` and ``described`` hold every table of the batch on the target; ``staging`` is this table's own;
    ``forward`` are the references to tables that are written later, or at the same time (itself);
    ``chained`` says that rows changed the columns that tell them apart, so that staged rows carry the number of their
    chain; ``scratch`` is the name that temporary tables begin with; ``landings`` are of those tables that are views.
    """

    database: Database
    shapes: Shapes
    targets: Mapping[str, sa.TableClause]
    described: Mapping[str, Table]
    name: str
    layout: Layout
    staging: sa.TableClause
    chained: bool
    scratch: str
    forward: tuple[Reference, ...]
    landings: Mapping[str, Landing] = field(default_factory=dict)

    @property
    def target(self) -> sa.TableClause:
        return self.targets[self.name]

    @property
    def locator(self) -> tuple[str, ...]:
        """The target's columns that tell its rows apart: primary key, or else natural key."""
        return self.described[self.name].told_apart_by(self.shapes[self.name].key)

    @property
    def key(self) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """What rows are found by: their natural key, and what a view of them pins."""
        return self.shapes[self.name].key, self._pins(self.name)

    @cached_property
    def fate(self) -> sa.TableClause:
        count = len(self.layout.old)
        return sa.table(
            f"{self.scratch}fate",
            *(sa.column(c) for c in ("seq", "op", "at", "gone", "born", *(f"o{i}" for i in range(count)))),
        )

    @cached_property
    def mark(self) -> sa.TableClause:
        return sa.table(f"{self.scratch}mark", *(sa.column(c) for c in ("seq", "op", "at", *self.places)))

    @property
    def fresh(self) -> sa.TableClause:
        """Rows that are to be inserted, kept."""
        names = self.shapes[self.name].names
        return sa.table(f"{self.scratch}fresh", *(sa.column(f"c{names.index(c)}") for c in self.written))

    @property
    def places(self) -> tuple[str, ...]:
        """What the columns of a locator are called where it is kept."""
        return tuple(f"l{i}" for i in range(len(self.locator)))

    # --- what happened to whom

    def identities(self) -> sa.Select[*tuple[Any, ...]]:
        """seq, op, identity, identity before a key change, here and there, of every staged change in order."""
        apart, staged = self.database.apart, self.staging.c
        own = [apart(staged[self.layout.value(column.column)]) for column in self.layout.was]
        was = [apart(staged[column.name]) for column in self.layout.was]
        columns = (self.staging.c.seq, self.staging.c.op, *own, *was, self.staging.c.here, self.staging.c.there)
        return sa.select(*columns).order_by(self.staging.c.seq)

    def drop_unchained(self) -> sa.Delete:
        """Forget updates that belong to no row (see ``core.net``)."""
        return sa.delete(self.staging).where(self.staging.c.chain.is_(None))

    def moves(self) -> sa.Select[*tuple[Any, ...]]:
        """How many key changes changed a row's identity."""
        differs = [
            self.staging.c[self.layout.value(column.column)].is_distinct_from(self.staging.c[column.name])
            for column in self.layout.was
        ]
        return sa.select(sa.func.count()).where(self.staging.c.op == constant("K"), sa.or_(*differs))

    def keep_fates(self, *, born: bool) -> sa.Select[*tuple[Any, ...]]:
        """For every row that lived before and was deleted or renamed in the batch: its last change and its old key.

        ``gone`` is when it left that key. ``born``: also those that came and went in the batch, by their last key.
        """
        lives = self._lives().cte("lives")
        births = sa.func.count(sa.case((lives.c.op == constant("I"), constant(1))))
        left = sa.func.min(sa.case((lives.c.op.in_([constant("D"), constant("K")]), lives.c.seq)))
        last = sa.func.max(lives.c.seq)
        spans = (
            sa.select(
                last.label("last"),
                births.label("births"),
                sa.case((births == constant(0), left), else_=last).label("left"),
            )
            .group_by(*(lives.c[c] for c in list(lives.c.keys()) if c not in ("seq", "op")))
            .cte("spans")
        )
        end, start = self.staging.alias(), self.staging.alias()
        rows = spans.join(end, end.c.seq == spans.c.last).join(start, start.c.seq == spans.c.left)
        old = [start.c[column.name] for column in self.layout.old]
        lived = spans.c.births == constant(0)
        went = sa.or_(lived, end.c.op == constant("D")) if born else lived
        about = (end.c.seq, end.c.op, end.c.at, start.c.at.label("gone"), spans.c.births.label("born"))
        return sa.select(*about, *old).select_from(rows).where(went)

    def _lives(self) -> sa.Select[*tuple[Any, ...]]:
        """Changes numbered by the life they belong to: an identity that is deleted and inserted again lives twice."""
        row = self.row_columns(self.staging)
        deaths = sa.func.sum(sa.case((self.staging.c.op == constant("D"), constant(1)), else_=constant(0)))
        life = deaths.over(partition_by=row, order_by=self.staging.c.seq, rows=(None, -1))
        return sa.select(
            self.staging.c.seq,
            self.staging.c.op,
            *(column.label(f"i{i}") for i, column in enumerate(row)),
            sa.func.coalesce(life, constant(0)).label("life"),
        )

    def row_columns(self, staging: sa.FromClause) -> list[Expression]:
        if self.chained:
            return [staging.c.chain]
        return [staging.c[self.layout.value(column)] for column in self.shapes[self.name].identity]

    def repeated(self) -> sa.Select[*tuple[Any, ...]]:
        """One row if any row of the table changed more than once."""
        row = self.row_columns(self.staging)
        return sa.select(constant(1)).select_from(self.staging).group_by(*row).having(sa.func.count() > 1).limit(1)

    def drop_superseded(self) -> sa.Delete:
        """Leave only the last image of each row that lives after the batch.

        One condition, without ``or``: SQLite reads the subquery when it first needs it, and would have deleted by then.
        """
        images = self.staging.alias()
        row = self.row_columns(images)
        nameless = sa.case((sa.or_(*(column.is_(None) for column in row)), images.c.seq))
        last = sa.func.max(images.c.seq)
        living = sa.func.max(sa.case((images.c.op != constant("D"), images.c.seq)))
        alive = sa.select(last).group_by(*row, nameless).having(last == living)
        return sa.delete(self.staging).where(self.staging.c.seq.not_in(alive))

    def note_births(self) -> sa.Update:
        """Let the last image of a row that came in this batch say so."""
        images = self.staging.alias()
        row = self.row_columns(images)
        born = sa.func.count(sa.case((images.c.op == constant("I"), constant(1)))) > constant(0)
        last = sa.select(sa.func.max(images.c.seq)).group_by(*row).having(born)
        changed = sa.and_(self.staging.c.op.in_([constant("U"), constant("K")]), self.staging.c.seq.in_(last))
        return sa.update(self.staging).values({self.staging.c.op: constant("I")}).where(changed)

    # --- finding rows

    def keep_marks(self) -> sa.Select[*tuple[Any, ...]]:
        """The target's rows behind the fates, found before anything is written, when all old keys still hold."""
        rows, found = self._find(
            self.fate, self.name, iter([self.fate.c[c.name] for c in self.layout.old]), outer=False
        )
        locator = [found.c[column].label(f"l{i}") for i, column in enumerate(self.locator)]
        return sa.select(self.fate.c.seq, self.fate.c.op, self.fate.c.at, *locator).select_from(rows)

    def _find(
        self, rows: sa.FromClause, name: str, leaves: Iterator[Expression], *, outer: bool
    ) -> tuple[sa.FromClause, sa.FromClause]:
        """Join the row of a table that the leaves of its natural key name, parents before children."""
        found = self.targets[name].alias()
        conditions = []
        for step in steps(self.shapes[name]):
            if isinstance(step, Plain):
                conditions.append(found.c[step.column] == next(leaves))
            else:
                rows, parent = self._find(rows, step.reference.table, leaves, outer=outer)
                pairs = zip(step.reference.columns, step.reference.target, strict=True)
                conditions += [found.c[column] == parent.c[target] for column, target in pairs]
        return rows.join(found, sa.and_(*conditions, *self.pinned(name, found)), isouter=outer), found

    def resolved(self) -> sa.Subquery:
        """The staged rows with every column as the target needs it (``c0``...).

        ``whole``: all parents are there (``lacks``: the number of the first reference whose parent is not);
        ``ready``: those without which the row cannot be inserted; ``hanging``: those without which it cannot either
        where constraints are deferred; ``named``: those that the row's key runs through.
        """
        shape, staged = self.shapes[self.name], self.staging
        rows: sa.FromClause = staged
        values: dict[str, Expression] = {c.column: staged.c[c.name] for c in self.layout.values}
        there: dict[Reference, sa.ColumnElement[bool]] = {}
        for reference, leaves in zip(shape.references, self.layout.parents, strict=True):
            rows, parent = self._find(rows, reference.table, iter([staged.c[c.name] for c in leaves]), outer=True)
            empty = sa.or_(*(staged.c[self.layout.value(column)].is_(None) for column in reference.columns))
            there[reference] = sa.or_(empty, parent.c[reference.target[0]].is_not(None))
            values |= self._pointing(reference, parent, empty, values)
        columns = [values[column].label(f"c{i}") for i, column in enumerate(shape.names)]
        flags = [
            _flag(list(there.values())).label("whole"),
            _flag([flag for reference, flag in there.items() if not self._can_wait(reference)]).label("ready"),
            _flag([flag for r, flag in there.items() if not set(r.columns).isdisjoint(shape.key)]).label("named"),
            _flag([flag for r, flag in there.items() if r not in self.provisional]).label("hanging"),
            _first_lacking(list(there.values())).label("lacks"),
        ]
        found = sa.select(staged.c.seq, staged.c.op, staged.c.at, *columns, *flags).select_from(rows)
        return self.database.whole(found).subquery("resolved")

    def _can_wait(self, reference: Reference) -> bool:
        """Whether a row may be inserted without this parent, and be given it once all rows are there."""
        described = self.described[self.name]
        nullable = {column.name for column in described.columns if column.nullable}
        return reference in self.forward and nullable.issuperset(reference.columns)

    @cached_property
    def provisional(self) -> tuple[Reference, ...]:
        """References that may lead nowhere until all rows are there, where constraints are deferred."""
        shape = self.shapes[self.name]
        return tuple(r for r in self.forward if r in shape.references and set(r.columns).isdisjoint(shape.key))

    @property
    def hangs(self) -> bool:
        """Whether rows may have to be inserted with such a reference, because it may not be null."""
        return not all(map(self._can_wait, self.provisional))

    def _pointing(
        self, reference: Reference, parent: sa.FromClause, empty: Expression, values: Mapping[str, Expression]
    ) -> dict[str, Expression]:
        shape = self.shapes[self.name]
        pairs = zip(reference.columns, reference.target, strict=True)
        hangs = reference in self.provisional and not self._can_wait(reference)
        return {
            column: sa.case(
                (empty, values[column]),
                else_=sa.func.coalesce(parent.c[target], values[column]) if hangs else parent.c[target],
            )
            for column, target in pairs
            if owner(shape, column) is reference
        }

    def value(self, resolved: sa.FromClause, column: str) -> Expression:
        if column in self.filled:
            return self._literal(self.name, column, self.filled[column])
        return resolved.c[f"c{self.shapes[self.name].names.index(column)}"]

    @property
    def filled(self) -> Mapping[str, str]:
        """Columns of the target that do not come, and that a view's condition says of all of its rows: to literals."""
        landing = self.landings.get(self.name)
        return landing.fixed if landing else {}

    def _literal(self, name: str, column: str, literal: str) -> Expression:
        described = self.described[name].column(column)
        return sa.literal_column(self.database.retype(literal, described.declared if described else ""))

    def pinned(self, name: str, row: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """What a row must have besides its key, where a view shows only some of those that have the same one."""
        return [row.c[column] == self._literal(name, column, text) for column, text in self._pins(name).items()]

    def _pins(self, name: str) -> Mapping[str, str]:
        return self.landings[name].pinned if name in self.landings else {}

    def same_key(self, target: sa.FromClause, resolved: sa.FromClause) -> sa.ColumnElement[bool]:
        same = (target.c[c] == self.value(resolved, c) for c in self.shapes[self.name].key)
        return sa.and_(*same, *self.pinned(self.name, target))

    def located(self, target: sa.FromClause, marked: sa.FromClause) -> sa.ColumnElement[bool]:
        return sa.and_(*(target.c[c] == marked.c[f"l{i}"] for i, c in enumerate(self.locator)))

    # --- writing

    def free(self, column: Column, wanted: Expression) -> list[Expression]:
        """Values that no row has in the column, and that no row is to get: one for each row of a query."""
        taken = sa.union_all(sa.select(self.target.c[column.name].label("value")), sa.select(wanted.label("value")))
        values = taken.subquery("taken")
        return self.database.spares(column, values.c.value, values, sa.func.row_number().over())

    def update(self, *, respell: bool) -> sa.Update:
        """Bring the rows that exist up to date. Their keys stay, except where a key may have come in another spelling.

        ``respell``: such as another case under a collation that finds both equal, or a decimal of another scale.
        """
        resolved, shape = self.resolved(), self.shapes[self.name]
        fixed = {column.name for column in self.described[self.name].columns if column.always}
        kept = {c for c in shape.key if not respell or owner(shape, c) is not None}
        changing = [c for c in self.written if c not in kept and c not in fixed and not self._own(c)]
        changing = changing or list(shape.key)
        return (
            sa.update(self.target)
            .values({self.target.c[c]: self.value(resolved, c) for c in changing})
            .where(self.same_key(self.target, resolved), resolved.c.whole == constant(1))
        )

    def withdraw(self) -> sa.Delete:
        """Delete every marked row."""
        return sa.delete(self.target).where(self.among(self.places_in(self.mark)))

    def forget_marks(self) -> sa.Delete:
        return sa.delete(self.mark)

    def new_rows(self, *, hanging: bool = False) -> sa.Select[*tuple[Any, ...]]:
        """The rows that do not exist yet, with the columns that ``written`` names; also those that are ``hanging``."""
        resolved, there = self.resolved(), self.target.alias()
        missing = sa.not_(sa.select(constant(1)).select_from(there).where(self.same_key(there, resolved)).exists())
        return self._rows(resolved, resolved.c.hanging if hanging else resolved.c.ready).where(missing)

    def all_rows(self) -> sa.Select[*tuple[Any, ...]]:
        """The same, whether they exist or not: asking costs more than half of what inserting them does."""
        resolved = self.resolved()
        return self._rows(resolved, resolved.c.ready)

    def _rows(self, resolved: sa.Subquery, ready: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
        return sa.select(*(self.value(resolved, c) for c in self.written)).where(ready == constant(1))

    @property
    def refuses_second(self) -> bool:
        """Whether a second row of one natural key is refused at once, so that a row may be inserted without a look."""
        key = {*self.shapes[self.name].key, *self.filled}
        return any(key.issuperset(unique) for unique in self.described[self.name].immediate)

    def delete(self, *, alive: bool) -> sa.Delete:
        """Remove the rows that the batch deleted, except those that a row living after it (``alive``) took over."""
        dead = self.places_in(self.mark).where(self.mark.c.op == constant("D"))
        statement = sa.delete(self.target).where(self.among(dead))
        if not alive:
            return statement
        resolved, key = self.resolved(), self.shapes[self.name].key
        values = [self.value(resolved, column) for column in key]
        taken = sa.select(*values).where(*(value.is_not(None) for value in values))
        return statement.where(sa.tuple_(*(self.target.c[column] for column in key)).not_in(taken))

    def places_in(self, marked: sa.TableClause) -> sa.Select[*tuple[Any, ...]]:
        """The locators of kept rows."""
        return sa.select(*(marked.c[place] for place in self.places))

    def among(self, places: sa.Select[*tuple[Any, ...]]) -> sa.ColumnElement[bool]:
        """Whether a row of the target is one of these. Not a correlated subquery: SQLite gives that no index."""
        return sa.tuple_(*(self.target.c[column] for column in self.locator)).in_(places)

    def orphans(self) -> sa.Select[*tuple[Any, ...]]:
        """Staged rows that point at a parent which the target does not have, with the number of that reference."""
        resolved = self.resolved()
        return sa.select(resolved.c.seq, resolved.c.lacks).where(resolved.c.whole == constant(0))

    def unannounced(self, operations: Iterable[str]) -> sa.Select[*tuple[Any, ...]]:
        """One row if any is staged of another operation than these."""
        announced = self.staging.c.op.in_([constant(op) for op in operations])
        other = sa.or_(self.staging.c.op.is_(None), sa.not_(announced))
        return sa.select(constant(1)).select_from(self.staging).where(other).limit(1)

    def staged(self) -> sa.Select[*tuple[Any, ...]]:
        """How many rows are staged, and how many of them have no value in a column of their key."""
        key = [self.staging.c[self.layout.value(c)].is_(None) for c in self.shapes[self.name].key]
        keyless = sa.func.count(sa.case((sa.or_(*key), constant(1))))
        return sa.select(sa.func.count(), keyless).select_from(self.staging)

    @property
    def written(self) -> list[str]:
        """The columns that an insert sets: all that travel, except a primary key that the target hands out itself.

        After these come columns that are filled in.
        """
        table, landing = self.described[self.name], self.landings.get(self.name)
        supplied = {column.name for column in table.columns if column.supplied}
        own = {column for column in self.shapes[self.name].names if self._own(column) and column in supplied}
        own.update(landing.own if landing else ())
        return [*(column for column in self.shapes[self.name].names if column not in own), *self.filled]

    @property
    def numbered(self) -> list[str]:
        """Unique numbers that travel, and that the target would hand out itself."""
        shape, table = self.shapes[self.name], self.described[self.name]
        unique = {column for key in table.uniques for column in key}
        numbers = (c.name for c in table.columns if c.supplied and c.kind is Kind.INTEGER and c.name in unique)
        return [n for n in numbers if n in self.written and n not in self.filled and owner(shape, n) is None]

    def highest(self, column: str) -> sa.Select[*tuple[Any, ...]]:
        """The highest number staged for a column."""
        return sa.select(sa.func.max(self.staging.c[self.layout.value(column)]))

    def _own(self, column: str) -> bool:
        """Whether the column is the target's primary key and nothing more: then no update touches it."""
        shape = self.shapes[self.name]
        return column in self.locator and column not in shape.key and owner(shape, column) is None


def _flag(conditions: Sequence[sa.ColumnElement[bool]]) -> Expression:
    return sa.case((sa.and_(sa.true(), *conditions), constant(1)), else_=constant(0))


def _first_lacking(conditions: Sequence[sa.ColumnElement[bool]]) -> Expression:
    if not conditions:
        return constant(-1)
    return sa.case(*((sa.not_(there), constant(i)) for i, there in enumerate(conditions)), else_=constant(-1))
