"""What a seal reads, as statements that every database understands: changes joined with their parents' natural keys."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cdc_sync.core.change import Reference, Shape, Shapes
from cdc_sync.core.keys import Plain, steps
from cdc_sync.databases.base import Session, constant
from cdc_sync.databases.source import FOR, OWN, Source
from cdc_sync.databases.sqlfiles import quote

Expression = sa.ColumnElement[Any]
MAYBE = "R"
"""The operation of a change that notes a row which a REPLACE may remove."""

LEFT = "X"
"""The operation of a change that takes a row off the server because the filter became another one."""

STANDS, DIFFERS, YIELDS = NOTES = ("S", "T", "Y")
"""The operations of notes that a row is to be sent as it stands: a server may lack it, or has it, or may know
better. Of several notes of one row the first of these counts.
"""

_OPERATIONS = {"insert": ("I", "Y"), "update": ("U", "K"), "delete": ("D",)}


class Reader:
    """Builds the queries of one seal.

    ``upto`` is the newest change of each table that the seal takes; ``origins`` holds, for parents that were deleted or
    changed their key in this batch, a temporary table of their keys from before it; ``replaced`` a temporary table of
    the changes that note a row's removal by REPLACE; ``images`` one of the changes of each table whose rows are read as
    they stand; ``moving`` are tables whose rows changed their identity, ``usurped`` parents whose place another took,
    ``noting`` tables with notes among their changes.
    """

    def __init__(self, source: Source, upto: Mapping[str, int]) -> None:
        self.source = source
        self.upto = upto
        self.origins: dict[tuple[str, tuple[str, ...]], sa.TableClause] = {}
        self.replaced: dict[str, sa.TableClause] = {}
        self.images: dict[str, sa.TableClause] = {}
        self.moving: set[str] = set()
        self.usurped: set[tuple[str, tuple[str, ...]]] = set()
        self.noting: set[str] = set()

    def noted(self, session: Session) -> dict[str, dict[str, int]]:
        """How many changes of each operation wait, by table, whether or not they travel; ``MAYBE`` among them."""
        noted: dict[str, dict[str, int]] = {name: {} for name in self.upto}
        if noted:
            query = self.source.kept("noted", lambda: sa.union_all(*map(self._noted, sorted(noted))))
            for name, op, count in session.query(query):
                noted[name][op] = count
        return noted

    def _noted(self, name: str) -> sa.Select[*tuple[Any, ...]]:
        change = self.source.change(name)
        ops = sa.select(self._raw_op(name, change).label("op")).where(self.taken(name, change)).subquery()
        return sa.select(constant(name), ops.c.op, sa.func.count()).group_by(ops.c.op)

    def counts(self, name: str) -> sa.Select[*tuple[Any, ...]]:
        """How many changes of each operation the seal takes."""
        images = self._images(name)
        return _counted(sa.select(images.c[OWN[1]].label("op")).where(self.travels(name, images)))

    def changes(self, name: str, *, keyed: bool) -> sa.Select[*tuple[Any, ...]]:
        """The table's changes, column by column as ``core.layout`` lays them out."""
        if self.images or self.origins or self.replaced or name in self.noting:
            return self._changes(name, keyed=keyed)
        return self.source.kept(f"changes {name} {keyed}", lambda: self._changes(name, keyed=keyed))

    def _changes(self, name: str, *, keyed: bool) -> sa.Select[*tuple[Any, ...]]:
        shape, change = self.source.shapes[name], self._images(name)
        rows: sa.FromClause = change
        seq, op, captured_at = (change.c[column] for column in OWN)
        parents: list[Expression] = []
        for reference in shape.references:
            rows, found = self.follow(rows, {column: change.c[column] for column in shape.names}, reference)
            parents += found
        old: list[Expression] = []
        if keyed:
            before = self.before(name, change)
            rows, old = self.key_before(rows, before, shape)
            was = [sa.case((op == constant("K"), before[column])) for column in shape.identity]
            old += [*was, self._standing(name, [change.c[c] for c in shape.identity]), self._standing(name, was)]
        columns = [seq, op, self.source.database.captured_at(captured_at)]
        columns += [*(change.c[column] for column in shape.names), *parents, *old]
        labelled = [column.label(f"c{i}") for i, column in enumerate(columns)]
        return sa.select(*labelled).select_from(rows).where(self.travels(name, change))

    def travels(self, name: str, change: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a change is of an operation that travels."""
        operations = self.source.tracked[name].settings.operations
        if set(operations) == set(_OPERATIONS):
            return sa.true()
        letters = [letter for operation in operations for letter in _OPERATIONS[operation]]
        return change.c[OWN[1]].in_([constant(letter) for letter in letters])

    def _images(self, name: str) -> sa.FromClause:
        """The changes that the seal takes; where they may say something else than the table, as the table says."""
        return self.images[name] if name in self.images else self.stream(name, filtered=True).subquery("cdc_sync_taken")

    def keep_images(
        self, session: Session, name: str, table: str, others: Sequence[sa.Select[*tuple[Any, ...]]]
    ) -> None:
        """Keep the changes that the seal takes of an unsteady table: what they say in the end is what the table says.

        ``others`` are changes that no trigger captured, to be taken too.

        Changes of one row are not always logged as they happened. What a trigger or a cascade of the application does
        is logged before the write that caused it, and PostgreSQL logs a statement with several parts by part. So the
        last image at an identity is read from the table; and where the last change is a deletion although a row stands,
        or none although no row stands, it changes places with the change that agrees with the table. A row that arrived
        from elsewhere may stand where another one was deleted, under another key: the deletion stays one.
        """
        taken = self._with(others, self.stream(name, filtered=True)).subquery("cdc_sync_taken")
        columns = [column.name for column in taken.c]
        events, group = self._events(name, taken), self.source.shapes[name].identity
        live = self.source.tables[name].alias("cdc_sync_live")
        visible = self.visible(name, "cdc_sync_live")
        there = live.c[group[0]].is_not(None)
        stands = there if visible is None else sa.and_(there, visible)
        rows = events.outerjoin(live, equal(live, group, [events.c[column] for column in group]))
        same = (live.c[c].is_not_distinct_from(events.c[c]) for c in self.source.shapes[name].key)
        seq, op = self._settled(events, stands, sa.and_(*same), moving=name in self.moving)
        last = sa.and_(seq == events.c.cdc_sync_newest, stands, op != constant("D"))
        settled = {OWN[0]: seq, OWN[1]: op} | {
            column: sa.case((last, live.c[column]), else_=events.c[column]) for column in self.source.shapes[name].names
        }
        query = sa.select(*(settled.get(column, events.c[column]).label(column) for column in columns)).select_from(
            rows
        )
        session.database.keep(session, table, query)
        self.images[name] = sa.table(table, *(sa.column(sa.quoted_name(column, quote=True)) for column in columns))

    def _with(
        self, others: Sequence[sa.Select[*tuple[Any, ...]]], stream: sa.Select[*tuple[Any, ...]]
    ) -> sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]]:
        """The captured changes and the others; operations become text."""
        if not others:
            return stream
        noted = stream.subquery()
        columns = [sa.cast(c, sa.Text).label(OWN[1]) if c.name == OWN[1] else c for c in noted.c]
        return sa.union_all(sa.select(*columns), *others)

    def _events(self, name: str, taken: sa.Subquery) -> sa.Subquery:
        """The changes, each with the newest at its identity, that one's operation, and the newest of either kind."""
        seq, op = taken.c[OWN[0]], taken.c[OWN[1]]
        group = [taken.c[column] for column in self.source.shapes[name].identity]
        newest = sa.func.max(seq).over(partition_by=group).label("cdc_sync_newest")
        newest_op = sa.func.first_value(op).over(partition_by=group, order_by=seq.desc()).label("cdc_sync_newest_op")
        left = sa.func.max(sa.case((op == constant("D"), seq))).over(partition_by=group).label("cdc_sync_left")
        came = sa.func.max(sa.case((op != constant("D"), seq))).over(partition_by=group).label("cdc_sync_came")
        return sa.select(*taken.c, newest, newest_op, left, came).subquery("cdc_sync_events")

    def _settled(
        self, events: sa.Subquery, stands: sa.ColumnElement[bool], same: sa.ColumnElement[bool], *, moving: bool
    ) -> tuple[Expression, Expression]:
        """Each change's place and operation, such that the last at its identity agrees with the table.

        ``same``: the row that stands has the change's key. Where rows change their identity (``moving``), the table
        says nothing of the changes at one identity.
        """
        seq, op, newest = events.c[OWN[0]], events.c[OWN[1]], events.c.cdc_sync_newest
        if moving:
            return seq, op
        left, came = events.c.cdc_sync_left, events.c.cdc_sync_came
        ends = events.c.cdc_sync_newest_op == constant("D")
        revived, gone = sa.and_(stands, ends), sa.and_(sa.not_(stands), sa.not_(ends))
        place = sa.case(
            (sa.and_(revived, seq == newest, came.is_not(None)), came),
            (sa.and_(revived, seq == came), newest),
            (sa.and_(gone, seq == newest, left.is_not(None)), left),
            (sa.and_(gone, seq == left), newest),
            else_=seq,
        )
        operation = sa.case(
            (sa.and_(revived, same, seq == newest, came.is_(None)), constant("U")),
            (sa.and_(gone, seq == newest, left.is_(None)), constant("D")),
            else_=op,
        )
        return place, operation

    def moves(self, name: str) -> sa.Select[*tuple[Any, ...]]:
        """One row if some change gave a row another identity."""
        change, old = self.source.change(name), self.source.old(name)
        different = [
            change.c[column].is_distinct_from(change.c[old[column]]) for column in self.source.shapes[name].identity
        ]
        keyed = self._raw_op(name, change) == constant("K")
        return sa.select(constant(1)).where(self.taken(name, change), keyed, sa.or_(*different)).limit(1)

    def stream(self, name: str, *, filtered: bool) -> sa.Select[*tuple[Any, ...]]:
        """The changes that the seal takes, each with its operation; with a filter, as one would see them through it.

        A row that leaves the filter is deleted for whoever sees through it, one that enters is inserted.
        """
        change = self.source.change(name).alias("cdc_sync_captured_row")
        seq, at = change.c[OWN[0]], change.c[OWN[2]]
        old = self.source.old(name)
        now, before = self.source.seen(name, change, "cdc_sync_captured_row") if filtered else (None, None)
        rest = [*(change.c[column] for column in old.values())]
        op, taken = self._plain_op(name, change), [self.taken(name, change), *self._own(name, change)]
        if now is None or before is None:
            columns = [change.c[column] for column in self.source.shapes[name].names]
            return sa.select(seq, op.label(OWN[1]), at, *columns, *rest).where(*taken)
        keyed = op == constant("K")
        leaves, enters = sa.and_(keyed, sa.not_(now)), sa.and_(keyed, sa.not_(before))
        seen = sa.case((leaves, constant("D")), (enters, constant("I")), else_=op)
        seen_columns: list[Expression] = [
            sa.case((leaves, change.c[old[column]]), else_=change.c[column]).label(column)
            if column in old
            else change.c[column]
            for column in self.source.shapes[name].names
        ]
        passing = sa.or_(now, sa.and_(keyed, before), change.c[OWN[1]] == constant(LEFT))
        return sa.select(seq, seen.label(OWN[1]), at, *seen_columns, *rest).where(*taken, passing)

    def _own(self, name: str, change: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """The condition for changes that are not about another table or view with the same change table."""
        if not self.source.shared(name):
            return []
        return [sa.or_(change.c[OWN[1]] != constant(LEFT), change.c[FOR] == constant(name))]

    def waiting(self, name: str) -> sa.Select[*tuple[Any, ...]]:
        """How many changes of a table or view wait, notes among them."""
        return sa.select(sa.func.count()).select_from(self.stream(name, filtered=True).subquery())

    def visible(self, name: str, alias: str) -> sa.ColumnElement[bool] | None:
        """The filter on rows as they stand; those of a view are seen through it already."""
        if name in self.source.tracked and self.source.tracked[name].base is not None:
            return None
        return self.source.passes(name, lambda column: f"{alias}.{quote(column)}")

    def _standing(self, name: str, identity: Sequence[Expression]) -> Expression:
        """1 where a row of the table has this identity now, else 0."""
        return sa.case((self.stands(name, identity), constant(1)), else_=constant(0))

    def stands(self, name: str, identity: Sequence[Expression]) -> sa.Exists:
        live, columns = self.source.tables[name].alias("cdc_sync_standing"), self.source.shapes[name].identity
        visible = self.visible(name, "cdc_sync_standing")
        found = sa.select(constant(1)).select_from(live).where(equal(live, columns, identity))
        return (found if visible is None else found.where(visible)).exists()

    def _raw_op(self, name: str, change: sa.FromClause) -> Expression:
        """A change's operation, a K where it changed a watched column."""
        changed = (change.c[column].is_distinct_from(change.c[old]) for column, old in self.source.old(name).items())
        return self.source.database.op(change.c[OWN[1]], sa.or_(sa.false(), *changed))

    def _plain_op(self, name: str, change: sa.FromClause) -> Expression:
        """A change's operation, a D for every way in which a row can go."""
        op = self._raw_op(name, change)
        return sa.case((op.in_([constant(MAYBE), constant(LEFT)]), constant("D")), else_=op)

    def unsealed(self, name: str, change: sa.FromClause) -> sa.ColumnElement[bool]:
        return self.source.database.unsealed(change, self.source.tracked[name].change)

    def taken(self, name: str, change: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a change is captured and not sealed; a note is no change."""
        taken = self.unsealed(name, change)
        if name in self.noting:
            taken = sa.and_(taken, change.c[OWN[1]].not_in([constant(note) for note in NOTES]))
        if name not in self.replaced:
            return taken
        removed = sa.select(self.replaced[name].c.seq).where(self.replaced[name].c.seq == change.c[OWN[0]]).exists()
        return sa.and_(taken, sa.or_(change.c[OWN[1]] != constant(MAYBE), removed))

    def before(self, name: str, change: sa.FromClause) -> dict[str, Expression]:
        """Watched columns as they were before the change: in a delete its own row, in a key change the old values."""
        op = change.c[OWN[1]]
        deleted, changed = op == constant("D"), op == constant("K")
        return {
            column: sa.case((deleted, change.c[column]), (changed, change.c[old]))
            for column, old in self.source.old(name).items()
        }

    def follow(
        self, rows: sa.FromClause, values: Mapping[str, Expression], reference: Reference
    ) -> tuple[sa.FromClause, list[Expression]]:
        """Join the parent that the values point at *now*; returns the leaves of its natural key."""
        parent = self.source.tables[reference.table].alias()
        rows = rows.outerjoin(parent, equal(parent, reference.target, [values[c] for c in reference.columns]))
        leaves: list[Expression] = []
        for step in steps(self.source.shapes[reference.table]):
            if isinstance(step, Plain):
                leaves.append(parent.c[step.column])
            else:
                rows, found = self.follow(rows, dict(parent.c), step.reference)
                leaves += found
        return rows, leaves

    def key_before(
        self, rows: sa.FromClause, values: Mapping[str, Expression], shape: Shape
    ) -> tuple[sa.FromClause, list[Expression]]:
        """The leaves of a row's own natural key, with every parent named as it was *before the batch*."""
        leaves: list[Expression] = []
        for step in steps(shape):
            if isinstance(step, Plain):
                leaves.append(values[step.column])
            else:
                rows, found = self._follow_before(rows, values, step.reference)
                leaves += found
        return rows, leaves

    def _follow_before(
        self, rows: sa.FromClause, values: Mapping[str, Expression], reference: Reference
    ) -> tuple[sa.FromClause, list[Expression]]:
        origin = self.origins.get((reference.table, reference.target))
        parent = self.source.tables[reference.table].alias()
        wanted = [values[column] for column in reference.columns]
        rows = rows.outerjoin(parent, equal(parent, reference.target, wanted))
        rows, leaves = self.key_before(rows, dict(parent.c), self.source.shapes[reference.table])
        if origin is None:
            return rows, leaves
        kept = origin.alias()
        rows = rows.outerjoin(kept, equal(kept, [f"t{i}" for i in range(len(wanted))], wanted))
        there = kept.c.t0.is_not(None)
        return rows, [sa.case((there, kept.c[f"k{i}"]), else_=leaf) for i, leaf in enumerate(leaves)]

    def departures(self, name: str) -> sa.Select[*tuple[Any, ...]]:
        """The natural keys, as they were before the batch, of rows that were deleted or changed theirs."""
        change = self.stream(name, filtered=True).subquery("cdc_sync_gone")
        rows, leaves = self.key_before(change, self.before(name, change), self.source.shapes[name])
        gone = change.c[OWN[1]].in_([constant("D"), constant("K")])
        return sa.select(*(leaf.label(f"k{i}") for i, leaf in enumerate(leaves))).select_from(rows).where(gone)

    def gone(self, name: str, after: int = 0) -> sa.Select[*tuple[Any, ...]]:
        """When rows were deleted or given another key, and the leaves of the keys that they had, after some change."""
        change, key = self._images(name), self.source.shapes[name].key
        before = self.before(name, change)
        rows, leaves = self.key_before(change, before, self.source.shapes[name])
        op, others = change.c[OWN[1]], (before[c].is_distinct_from(change.c[c]) for c in key)
        went = sa.or_(op == constant("D"), sa.and_(op == constant("K"), sa.or_(*others)))
        at = sa.cast(self.source.database.captured_at(change.c[OWN[2]]), sa.Text)
        shown = [self.source.database.apart(leaf) for leaf in leaves]
        labelled = [column.label(f"c{i}") for i, column in enumerate((at, *shown))]
        return sa.select(*labelled).select_from(rows).where(went, change.c[OWN[0]] > constant(after))


def _counted(operations: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    counted = operations.subquery("cdc_sync_operations")
    return sa.select(counted.c.op, sa.func.count()).group_by(counted.c.op)


def equal(table: sa.FromClause, columns: Sequence[str], values: Sequence[Expression]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[column] == value for column, value in zip(columns, values, strict=True)))


def pointed_at(shapes: Shapes) -> set[tuple[str, tuple[str, ...]]]:
    """Parents whose natural keys stand for their children's references, with the columns that these point at."""
    return {(reference.table, reference.target) for shape in shapes.values() for reference in shape.references}
