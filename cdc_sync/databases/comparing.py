"""What a verification asks of both sides: rows with their natural keys, and whether a row stands as it should.

The same joins name parents on either side, so references are compared by what they mean and not by their ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cdc_sync.core import skew
from cdc_sync.core.change import Column, Kind, Reference, Shape, Shapes, Table
from cdc_sync.core.digest import Typed
from cdc_sync.core.keys import Plain, Through, owner, steps
from cdc_sync.core.layout import Layout, Staged, layout, narrowed
from cdc_sync.core.renames import Renames
from cdc_sync.core.views import landing
from cdc_sync.core.views.landing import Landing
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import belonging, pages
from cdc_sync.databases.base import Database, Session, Target, constant
from cdc_sync.databases.reading import NOTES
from cdc_sync.databases.source import OWN, Source
from cdc_sync.databases.sqlfiles import quote
from cdc_sync.errors import RefusedRow

Expression = sa.ColumnElement[Any]
LIVE = "cdc_sync_live"

MISSING, DIFFERENT = "missing", "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is compared of one table, as one side calls it: plain columns, and references by their parents' keys.

    ``apart`` are the columns that tell the side's rows apart. ``shapes`` are those of its tables; ``sent`` are the same
    with the columns that only this node has, in the order in which rows come. ``landing`` says which rows of the table
    are compared, where rows are sent to a view of it.
    """

    shapes: Shapes
    sent: Shapes
    name: str
    tables: Mapping[str, Table]
    apart: tuple[str, ...]
    plain: Sequence[str]
    references: Sequence[Reference]
    landing: Landing | None = None

    def table(self) -> Table:
        """The table or view whose rows are compared."""
        return self.landing.shown if self.landing else self.tables[self.name]

    def live(self, database: Database) -> sa.FromClause:
        """Its rows."""
        if self.landing is None or self.landing.through:
            return database.table(self.tables[self.name]).alias(LIVE)
        return belonging.rows(database, self.landing, LIVE)

    @property
    def shape(self) -> Shape:
        return self.shapes[self.name]

    def parts(self) -> list[tuple[str, int, int]]:
        """Every table whose natural key is a part of this one's, with the leaves that are it; the table itself last."""
        found: list[tuple[str, int, int]] = []
        self._part(self.name, 0, found)
        return found

    def _part(self, name: str, start: int, found: list[tuple[str, int, int]]) -> int:
        end = start
        for step in steps(self.shapes[name]):
            end = end + 1 if isinstance(step, Plain) else self._part(step.reference.table, end, found)
        found.append((name, start, end))
        return end

    def typed(self, database: Database) -> tuple[list[Typed], list[Typed]]:
        """How the leaves of the key, and the other values, come from this side."""
        rest = [_column(self.tables[self.name], c) for c in self.plain]
        for reference in self.references:
            rest += [_EMPTY, *self.leaves(reference.table)]
        key = [_typed(column, database) for column in self.leaves(self.name)]
        return key, [_typed(column, database) for column in rest]

    def leaves(self, name: str) -> list[Column]:
        """The columns at the ends of a table's natural key."""
        return [_column(self.tables[table], column) for table, column in ends(self.shapes, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """Two sides' tables, and what the target calls this node's."""

    shapes: Shapes
    renames: Renames
    here: Mapping[str, Table]
    there: Mapping[str, Table]
    where: str

    def compared(self, name: str, *, updates: bool) -> tuple[Compared, Compared]:
        """What is compared of a table, as this node and as the target call it, in the same order.

        Left out are columns that no apply brings up to date: those that the target does not have, a primary key that is
        each database's own, an identity that takes no values, generated ones; and where no ``updates`` travel,
        everything besides the key.
        """
        landed, target = landing.land(self.renames.named(self.shapes), self.there), self.renames.table(name)
        sent, fitted = landed.shapes, skew.fitted(landed.shapes, [target], landed.described, self.where)
        table, shape, view = landed.described[target], fitted[target], landed.landings.get(target)
        unwritten = view.own if view else ()
        locator = table.told_apart_by(shape.key)
        through = [step.reference for step in steps(shape) if isinstance(step, Through)]
        plain = [c for c in shape.names if updates and owner(shape, c) is None and _is_kept(table, shape, locator, c)]
        plain = [c for c in plain if c not in unwritten]
        references = [r for r in shape.references if updates and r not in through]
        there = Compared(
            shapes=fitted,
            sent=sent,
            name=target,
            tables=landed.described,
            apart=locator,
            plain=plain,
            references=references,
            landing=view,
        )
        own, same = self.shapes[name], sent[target]
        here = Compared(
            shapes=self.shapes,
            sent=self.shapes,
            name=name,
            tables=self.here,
            apart=own.identity,
            plain=[own.names[same.names.index(c)] for c in plain],
            references=[own.references[same.references.index(r)] for r in references],
        )
        return here, there


def _is_kept(table: Table, shape: Shape, locator: Sequence[str], name: str) -> bool:
    """Whether an apply brings a column up to date."""
    column = table.column(name)
    own = name in locator or (column is not None and (column.always or column.generated))
    return name not in shape.key and not own


_EMPTY = Column(name="", kind=Kind.INTEGER, declared="integer")
"""Whether a reference is null."""


def ends(shapes: Shapes, name: str) -> list[tuple[str, str]]:
    """The tables and columns at the ends of a natural key, leaf by leaf."""
    found: list[tuple[str, str]] = []
    for step in steps(shapes[name]):
        found += [(name, step.column)] if isinstance(step, Plain) else ends(shapes, step.reference.table)
    return found


def _column(table: Table, name: str) -> Column:
    return next(column for column in table.columns if column.name == name)


def _typed(column: Column, database: Database) -> Typed:
    return Typed(encoding=database.encoding, kind=column.kind, declared=column.declared)


class Paths:
    """A table joined with the parents that its references lead to; ``met`` are all of them, with their tables."""

    def __init__(
        self, shapes: Shapes, tables: Mapping[str, sa.FromClause], name: str, live: sa.FromClause | None = None
    ) -> None:
        self.shapes, self.tables, self.name = shapes, tables, name
        self.live: sa.FromClause = tables[name].alias(LIVE) if live is None else live
        self.rows: sa.FromClause = self.live
        self.met: list[tuple[str, sa.FromClause]] = [(name, self.live)]

    def key(self) -> list[Expression]:
        """The leaves of the row's natural key."""
        return self._key(self.name, self.live)

    def _key(self, name: str, row: sa.FromClause) -> list[Expression]:
        leaves: list[Expression] = []
        for step in steps(self.shapes[name]):
            leaves += [row.c[step.column]] if isinstance(step, Plain) else self.follow(row, step.reference)
        return leaves

    def follow(self, row: sa.FromClause, reference: Reference) -> list[Expression]:
        """The leaves of the key of the parent that a row refers to."""
        parent = self.tables[reference.table].alias()
        pairs = zip(reference.columns, reference.target, strict=True)
        self.rows = self.rows.outerjoin(parent, sa.and_(*(parent.c[t] == row.c[c] for c, t in pairs)))
        self.met.append((reference.table, parent))
        return self._key(reference.table, parent)


def rows(
    compared: Compared, database: Database, visible: sa.ColumnElement[bool] | None
) -> tuple[Paths, sa.Select[*tuple[Any, ...]]]:
    """A side's rows: what tells them apart, the leaves of the key, then the other values; in order of the first."""
    tables = {name: database.table(compared.tables[name]) for name in compared.shapes}
    paths, apart = Paths(compared.shapes, tables, compared.name, compared.live(database)), compared.apart
    live = paths.live
    columns: list[Expression] = [*(live.c[c] for c in apart), *paths.key(), *(live.c[c] for c in compared.plain)]
    for reference in compared.references:
        empty = sa.or_(*(live.c[c].is_(None) for c in reference.columns))
        columns += [sa.case((empty, constant(1)), else_=constant(0)), *paths.follow(live, reference)]
    labelled = [column.label(f"c{i}") for i, column in enumerate(columns)]
    query = sa.select(*labelled).select_from(paths.rows).order_by(*(live.c[c] for c in apart))
    return paths, query if visible is None else query.where(visible)


def _find(
    shapes: Shapes,
    tables: Mapping[str, sa.FromClause],
    rows: sa.FromClause,
    name: str,
    leaves: Iterator[Expression],
    alias: str | None = None,
) -> tuple[sa.FromClause, sa.FromClause]:
    """Join the row of a table that the leaves of a natural key name, where there is one."""
    found = tables[name].alias(alias)
    conditions = []
    for step in steps(shapes[name]):
        if isinstance(step, Plain):
            conditions.append(found.c[step.column] == next(leaves))
        else:
            rows, parent = _find(shapes, tables, rows, step.reference.table, leaves)
            pairs = zip(step.reference.columns, step.reference.target, strict=True)
            conditions += [found.c[column] == parent.c[target] for column, target in pairs]
    return rows.outerjoin(found, sa.and_(*conditions)), found


# --- the second look, at this node


def keep_pending(session: Session, source: Source) -> dict[str, sa.TableClause]:
    """Temporary tables of the rows of each table that changes tell of which are not sealed.

    ``noted`` is 1 where it is a note that says so, which changes nothing (``databases.notes``).
    """
    found: dict[str, sa.TableClause] = {}
    for i, name in enumerate(sorted(source.tracked)):
        change, old = source.change(name), source.old(name)
        unsealed = session.database.unsealed(change, source.tracked[name].change)
        is_note = change.c[OWN[1]].in_([constant(note) for note in NOTES])
        noted = sa.case((is_note, constant(1)), else_=constant(0)).label("noted")
        identity = source.shapes[name].identity
        sides = [[change.c[c] for c in identity], [change.c[old[c]] for c in identity]]
        queries = [
            sa.select(*(c.label(f"i{n}") for n, c in enumerate(side)), noted).where(
                unsealed, *(c.is_not(None) for c in side)
            )
            for side in sides
        ]
        table = f"cdc_sync_pending_{i}"
        session.database.keep(session, table, sa.select(sa.union(*queries).subquery("cdc_sync_pending")))
        found[name] = sa.table(table, *(sa.column(f"i{n}") for n in range(len(identity))), sa.column("noted"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Rows of this node as a batch would hold them now, and the numbers of others that are pending, or a parent is."""

    settled: sa.Select[*tuple[Any, ...]]
    pending: sa.Select[*tuple[Any, ...]]


def standing(
    compared: Compared, source: Source, wanted: sa.TableClause, pending: Mapping[str, sa.TableClause]
) -> Standing:
    """What this node says of the rows that ``wanted`` names (``i0``..., and their number ``n``)."""
    paths = Paths(source.shapes, source.tables, compared.name)
    live = paths.live
    parents = [leaf for reference in compared.shape.references for leaf in paths.follow(live, reference)]
    named = sa.and_(*(live.c[c] == wanted.c[f"i{i}"] for i, c in enumerate(compared.shape.identity)))
    rows = paths.rows.join(wanted, named)
    waits = [
        _among(pending[name], [row.c[c] for c in source.shapes[name].identity], noted=row is live)
        for name, row in paths.met
        if name in pending
    ]
    waiting = sa.case((sa.or_(sa.false(), *waits), constant(1)), else_=constant(0))
    visible = source.passes(compared.name, live_column)
    shown = sa.true() if visible is None else visible
    columns = [wanted.c.n, constant("U"), constant(""), *(live.c[c] for c in compared.shape.names), *parents]
    labelled = [column.label(f"c{i}") for i, column in enumerate(columns)]
    return Standing(
        settled=sa.select(*labelled).select_from(rows).where(shown, waiting == constant(0)),
        pending=sa.select(wanted.c.n).select_from(rows).where(shown, waiting == constant(1)),
    )


def _among(pending: sa.TableClause, identity: Sequence[Expression], *, noted: bool) -> sa.ColumnElement[bool]:
    """Whether a row is pending; a note about a parent changes nothing that its children say."""
    rows = sa.select(*(pending.c[f"i{n}"] for n in range(len(identity))))
    return sa.tuple_(*identity).in_(rows if noted else rows.where(pending.c.noted == constant(0)))


def stage_keys(session: Session, here: Compared, there: Compared, name: str, part: PartRows) -> sa.TableClause:
    """Natural keys of rows of the target, each after its number, in a temporary table of this node (``n``, ``k0``...).

    Those that this node's types do not take are left out.
    """
    columns = [Staged("n", Kind.INTEGER)]
    columns += [Staged(f"k{i}", leaf.kind, leaf.name) for i, leaf in enumerate(there.leaves(there.name))]
    targets = [Target(table=here.name, column="", declared="bigint", kind=Kind.INTEGER)]
    targets += [_target(here.tables, table, column) for table, column in ends(here.shapes, here.name)]
    definitions = [(c.name, t.declared) for c, t in zip(columns, targets, strict=True)]
    staging = session.database.create_staging(session, name, definitions)
    load(session, name, columns, targets, part)
    return staging


def named(compared: Compared, source: Source, keys: sa.TableClause) -> sa.Select[*tuple[Any, ...]]:
    """The numbers of those keys under which a row of this node stands."""
    leaves = iter([keys.c[f"k{i}"] for i in range(len(ends(compared.shapes, compared.name)))])
    rows, live = _find(source.shapes, source.tables, keys, compared.name, leaves, LIVE)
    visible = source.passes(compared.name, live_column)
    there = live.c[compared.shape.identity[0]].is_not(None)
    return sa.select(keys.c.n).select_from(rows).where(there, sa.true() if visible is None else visible)


def load(
    session: Session, staging: str, columns: Sequence[Staged], targets: Sequence[Target], part: PartRows
) -> list[int]:
    """Stage rows that begin with a number; returns the numbers of those that the database's types do not take."""
    refused: list[int] = []
    while part.data:
        try:
            with session.attempt():
                session.database.fill_staging(session, staging, columns, targets, part)
        except RefusedRow as error:
            rows = list(pages.split(part))
            refused.append(int(rows.pop(error.row)[0]))
            part = pages.join(part.encoding, rows) if rows else PartRows(encoding=part.encoding, data=b"")
        else:
            break
    return refused


def live_column(name: str) -> str:
    """The quoted text for a column of the row that is looked at."""
    return f"{LIVE}.{quote(name)}"


# --- the second look, at the target


class Judge:
    """Rows as they should be, staged at the target as an apply does it, beside the rows that stand there."""

    def __init__(self, session: Session, compared: Compared, name: str) -> None:
        self.session, self.database, self.compared = session, session.database, compared
        self.tables = {table: session.database.table(compared.tables[table]) for table in compared.shapes}
        laid = layout(compared.sent, compared.name, keyed=False)
        self.layout: Layout = narrowed(laid, compared.sent[compared.name], compared.shape)
        self.targets = list(self._targets())
        numbers = {"seq": "bigint"}
        columns = [
            (column.name, numbers.get(column.name, target.declared))
            for column, target in zip(self.layout.columns, self.targets, strict=True)
        ]
        self.staging = session.database.create_staging(session, name, columns)
        self.rows, self.live = self._met()

    def load(self, part: PartRows) -> list[int]:
        """Stage rows of this node; returns the numbers of those that the target's types do not take."""
        return load(self.session, self.staging.name, self.layout.columns, self.targets, part)

    def _targets(self) -> Iterator[Target]:
        """For each staged column, the column that it is typed like."""
        compared, sent = self.compared, self.compared.sent
        laid = layout(sent, compared.name, keyed=False)
        for head in laid.columns[:3]:
            yield Target(table=compared.name, column="", declared="text", kind=head.kind)
        for staged in laid.values:
            yield _target(compared.tables, compared.name, staged.column)
        for reference, leaves in zip(sent[compared.name].references, laid.parents, strict=True):
            for (table, column), _ in zip(ends(sent, reference.table), leaves, strict=True):
                yield _target(compared.tables, table, column)

    def _met(self) -> tuple[sa.FromClause, sa.FromClause]:
        """The staged rows with the parents that they name, and the row that stands at their key."""
        rows: sa.FromClause = self.staging
        self.parents: dict[Reference, sa.FromClause] = {}
        for reference, leaves in zip(self.compared.shape.references, self.layout.parents, strict=True):
            values = iter([self.staging.c[leaf.name] for leaf in leaves])
            rows, self.parents[reference] = _find(self.compared.shapes, self.tables, rows, reference.table, values)
        live = self.compared.live(self.database)
        same = [live.c[column] == self._should(column) for column in self.compared.shape.key]
        return rows.outerjoin(live, sa.and_(*same)), live

    def _should(self, column: str) -> Expression:
        """What the target's column is to hold."""
        staged: Expression = self.staging.c[self.layout.value(column)]
        reference = owner(self.compared.shape, column)
        if reference is None:
            return staged
        parent = self.parents[reference].c[reference.target[reference.columns.index(column)]]
        return sa.case((self._empty(reference), staged), else_=parent)

    def _empty(self, reference: Reference) -> sa.ColumnElement[bool]:
        return sa.or_(*(self.staging.c[self.layout.value(column)].is_(None) for column in reference.columns))

    def verdicts(self) -> sa.Select[*tuple[Any, ...]]:
        """The numbers of the staged rows that do not stand as they should, each with the reason."""
        apart = self.database.apart
        missing = self.live.c[self.compared.apart[0]].is_(None)
        differs = [apart(self._should(c)).is_distinct_from(apart(self.live.c[c])) for c in self.compared.plain]
        for reference in self.compared.references:
            gone = self.parents[reference].c[reference.target[0]].is_(None)
            differs.append(sa.and_(sa.not_(self._empty(reference)), gone))
            differs += [
                self._should(c).is_distinct_from(self.live.c[c])
                for c in reference.columns
                if owner(self.compared.shape, c) == reference
            ]
        verdict = sa.case((missing, constant(MISSING)), else_=constant(DIFFERENT))
        return sa.select(self.staging.c.seq, verdict).select_from(self.rows).where(sa.or_(missing, *differs))

    def strangers(self, wanted: sa.TableClause) -> sa.Select[*tuple[Any, ...]]:
        """Those rows of the target (``i0``..., ``n``) that stand there and belong to no staged row: number and key."""
        locator = self.compared.apart
        ours = sa.select(*(self.live.c[c].label(f"l{i}") for i, c in enumerate(locator))).select_from(self.rows)
        known = ours.where(self.live.c[locator[0]].is_not(None)).subquery("cdc_sync_ours")
        live = self.compared.live(self.database)
        paths = Paths(self.compared.shapes, self.tables, self.compared.name, live)
        leaves = paths.key()
        there = sa.and_(*(paths.live.c[c] == wanted.c[f"i{i}"] for i, c in enumerate(locator)))
        same = sa.and_(*(known.c[f"l{i}"] == paths.live.c[c] for i, c in enumerate(locator)))
        rows = paths.rows.join(wanted, there).outerjoin(known, same)
        columns = [column.label(f"c{i}") for i, column in enumerate([wanted.c.n, *leaves])]
        return sa.select(*columns).select_from(rows).where(known.c.l0.is_(None))


def _target(tables: Mapping[str, Table], table: str, column: str) -> Target:
    found = tables[table].column(column) if table in tables else None
    if found is None:
        return Target(table=table, column="", declared="text", kind=Kind.TEXT, absent=True)
    return Target(table=table, column=column, declared=found.declared, kind=found.kind)
