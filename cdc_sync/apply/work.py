"""One table of one batch: its changes are staged, reduced to what they come to, and written."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from cdc_sync.apply import places, strays
from cdc_sync.apply.judge import Bench, Judge
from cdc_sync.apply.orphans import Missing, Orphan
from cdc_sync.core import net
from cdc_sync.core.change import Kind, Shape, Shapes, Table
from cdc_sync.core.layout import layout, narrowed, staged_like
from cdc_sync.core.views.landing import Landed
from cdc_sync.core.wire import PartRows, Section
from cdc_sync.databases import Session, Target, belonging, sqlfiles
from cdc_sync.databases.writing import Writer
from cdc_sync.errors import CdcSyncError, DatabaseError, RejectedBatch

log = logging.getLogger("cdc_sync")

TAKEN = ("23505", "23P01", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID")
"""Codes of a place that another row has already."""


class _NotNew(Exception):
    """Some row is there already, or lacks its parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a batch is written: its shapes, parents first in ``order``, and the target's tables for them.

    ``landed`` is where the rows go; its shapes are those that they came in, of which the target may have less.

    ``versions`` names the tables with the versions of their rows.
    """

    session: Session
    landed: Landed
    shapes: Shapes
    order: Sequence[str]
    targets: Mapping[str, sa.TableClause]
    bench: Bench
    versions: Mapping[str, str]

    @property
    def sent(self) -> Shapes:
        return self.landed.shapes

    @property
    def described(self) -> Mapping[str, Table]:
        return self.landed.described


class Work:
    """One table of one batch."""

    def __init__(self, stage: Stage, section: Section, scratch: str) -> None:
        self.stage = stage
        self.section = section
        self.session = stage.session
        self.scratch = scratch
        later = stage.order[stage.order.index(section.table) :]
        landing = {name for unit in later for name in (unit, *stage.landed.alike(unit))}
        self.forward = tuple(r for r in stage.shapes[section.table].references if r.table in landing)
        laid = layout(stage.sent, section.table, keyed=section.keyed)
        self.layout = narrowed(laid, stage.sent[section.table], stage.shapes[section.table])
        self.targets = self._targets()
        self.writer = self._writer(self._create_staging(), chained=False)
        self.judge = Judge(self.session, stage.bench, self.writer, stage.versions.get(section.table, ""))
        self.alive = 0
        self.all_new = False
        self.stamped = False

    def _writer(self, staging: sa.TableClause, *, chained: bool) -> Writer:
        return Writer(
            database=self.session.database,
            shapes=self.stage.shapes,
            targets=self.stage.targets,
            described=self.stage.described,
            name=self.section.table,
            layout=self.layout,
            staging=staging,
            chained=chained,
            scratch=self.scratch,
            forward=self.forward,
            landings=self.stage.landed.landings,
        )

    def _targets(self) -> list[Target]:
        laid = layout(self.stage.sent, self.section.table, keyed=self.section.keyed)
        like = staged_like(laid, self.stage.sent, self.section.table)
        return [_target(self.stage.landed, table, column) for table, column in like]

    def _create_staging(self) -> sa.TableClause:
        columns = [(c.name, t.declared) for c, t in zip(self.layout.columns, self.targets, strict=True)]
        numbers = ("seq", "here", "there", "chain")
        columns = [(name, "bigint" if name in numbers else declared) for name, declared in (*columns, ("chain", ""))]
        return self.session.database.create_staging(self.session, f"{self.scratch}staging", columns, lasting=True)

    # --- the steps

    def load(self, rows: PartRows, *, keyed: bool) -> None:
        """Stage rows; ``keyed`` says how they are laid out, which may be less than is staged here."""
        columns = layout(self.stage.sent, self.section.table, keyed=keyed).columns
        by_name = {c.name: target for c, target in zip(self.layout.columns, self.targets, strict=True)}
        targets = [by_name[column.name] for column in columns]
        self.session.database.fill_staging(self.session, self.writer.staging.name, columns, targets, rows)

    @property
    def flows(self) -> bool:
        """Whether rows may be written before the last of them is staged: all are new, and need none of their own."""
        return set(self.section.counts) == {"I"} and not self.forward and self._inserts_at_once

    def flow(self) -> bool:
        """Write what is staged, and stage the next; False where it cannot be written so."""
        self._check_operations()
        if self._count() or (self.alive and not self._insert_at_once()) or strays.find(self.session, self.writer):
            return False
        for column in self.writer.numbered:
            self._move_past(column)
        self.session.run("staging_empty", {"name": self.writer.staging.name})
        return True

    def recount(self) -> None:
        """Count what is staged, where nobody said it."""
        staging = self.writer.staging
        counted = self.session.query(sa.select(staging.c.op, sa.func.count()).group_by(staging.c.op))
        self.section = replace(self.section, counts=dict(counted))

    def settle(self) -> None:
        """Keep the fate of those that lived before, the last image of those that live on."""
        self._check_operations()
        if self.section.counts.get("D") and self.kin:
            strays.note_left(self.session, self.writer)
        if self.section.keyed:
            name = self.writer.staging.name
            self.session.run("index_staging", {"name": name, "index": f"{name}_seq"})
        self.chain()
        if self.section.keyed:
            self._keep(self.writer.fate, self.writer.keep_fates(born=self.judge.newest_wins))
        only_inserts = set(self.section.counts) == {"I"}
        if self.section.keyed or (not only_inserts and self.session.query(self.writer.repeated())):
            if "I" in self.section.counts:
                self.session.execute(self.writer.note_births())
            self.session.execute(self.writer.drop_superseded())
        if self._count():
            raise CdcSyncError(
                f"table {self.section.table!r}: rows without a value in key {', '.join(self._shape.key)} arrived",
                hint="give them a key at their source; nothing of their batch was applied, and nothing is lost",
            )

    def _check_operations(self) -> None:
        """What the header says of the rows is what their origin was allowed to send: nothing else may be among them."""
        if self.session.query(self.writer.unannounced(sorted(self.section.counts))):
            raise RejectedBatch(
                f"table {self.section.table!r}: the batch holds other operations than its header says",
                hint="its node sends what no cdc-sync seals: find out who has its key",
            )

    def take_over(self, others: Iterable["Work"]) -> None:
        """Let rows stay that moved to another view of the same table."""
        if self.section.counts.get("D"):
            alike = self.stage.landed.alike(self.section.table)
            strays.take_over(self.session, self.writer, (o.writer for o in others if o.section.table in alike))

    @property
    def kin(self) -> list[str]:
        """Units to which rows may move from this one."""
        return self.stage.landed.kin(self.section.table)

    def move(self, others: Iterable["Work"]) -> None:
        """Let rows stay that moved to another view of the same table, and got another key there."""
        if self.section.counts.get("D") and self.kin:
            strays.move(
                self.session, self.writer, (o.writer for o in others if o.section.table in self.kin and o.alive)
            )

    def mark(self) -> None:
        if self.section.keyed:
            self._keep(self.writer.mark, self.writer.keep_marks())
            strays.overlook(self.session, self.writer)
            self.judge.marked(self.writer)
            self._count()

    def withdraw(self, renamed: set[str]) -> None:
        """Delete marked rows at once, to be inserted again, where they could not be found again later.

        That is so where the target tells rows apart by a parent's natural key, and the batch renames parents: the
        target's own cascade may then change what the marks say.
        """
        locator = set(self.writer.locator)
        follows = any(r.table in renamed and not locator.isdisjoint(r.columns) for r in self._shape.after)
        if self.section.keyed and follows:
            self.judge.leave(self.writer)
            self.session.execute(self.writer.withdraw())
            self.session.execute(self.writer.forget_marks())

    def write(self) -> None:
        if not self.alive or self._insert_new():
            return
        self.judge.living(self.writer)
        self._count()
        self.judge.leave(self.writer)
        if self.section.counts.get("K"):
            places.rename(self.session, self.writer)
        if not self.alive:
            return
        if set(self.section.counts) != {"I"}:
            places.make_room(self.session, self.writer)
        if self.forward:
            self._insert_in_rounds()
            return
        among_themselves = any(reference.table == self.section.table for reference in self._shape.after)
        if among_themselves or self.section.counts.get("I", 0) * 2 > self.alive:
            done = self._bring()
            if done < self.alive:
                done = self._bring_up_to_date()
        else:
            done = self._bring_up_to_date()
            if done < self.alive:
                done += self._bring()
        if done < self.alive:
            self._explain_missing()

    def point_forward(self) -> None:
        """Once every row is there: set the references that had to wait for theirs."""
        if self.forward and self.alive and self._bring_up_to_date() < self.alive:
            self._explain_missing()

    def delete(self) -> None:
        if self.section.keyed:
            strays.overlook(self.session, self.writer)
            self.judge.leave(self.writer)
            self.session.execute(self.writer.delete(alive=bool(self.alive)))

    def check(self) -> None:
        """Raise Strayed where a row that was written does not belong to the view that it was sent to."""
        strayed = strays.find(self.session, self.writer) if self.alive else None
        if strayed is not None:
            raise strayed

    def stamp(self) -> None:
        """Note whose rows these are now, and have the target's own numbers go on after theirs."""
        if self.alive:
            if not self.stamped:
                self.judge.stamp(self.writer, all_new=self.all_new)
            for column in self.writer.numbered:
                self._move_past(column)

    # --- helpers

    def _bring_up_to_date(self) -> int:
        """Update the rows that exist; returns how many."""
        try:
            with self.session.attempt():
                touched = self.session.execute(self._update())
                return self._standing(whole=True) if self.through else touched
        except DatabaseError as error:
            detour = error.code in TAKEN
            done = places.update_by_detour(self.session, self.writer, self._update()) if detour else None
            if done is None:
                raise
            return done

    @property
    def _shape(self) -> Shape:
        return self.stage.shapes[self.section.table]

    def _update(self) -> sa.Update:
        return self.writer.update(respell=set(self.section.counts) != {"U"})

    def _keep(self, table: sa.TableClause, query: sa.Select[*tuple[Any, ...]]) -> None:
        self.session.database.keep(self.session, table.name, query)

    def chain(self) -> None:
        """Number the changes of rows that moved, so that those of one row are known from those of another."""
        if not (self.section.counts.get("K") and self.session.query(self.writer.moves())[0][0]):
            return
        width = len(self.layout.was)
        events = (
            net.Event(
                row[0],
                row[1],
                row[2 : 2 + width],
                row[2 + width : -2] if row[1] == "K" else None,
                bool(row[-2]),
                bool(row[-1]),
            )
            for row in self.session.query(self.writer.identities())
        )
        found = net.chains(events)
        staging = self.writer.staging
        statement = sa.update(staging).values(chain=sa.bindparam("row")).where(staging.c.seq == sa.bindparam("change"))
        self.session.many(statement, [{"change": seq, "row": row} for seq, row in found.items()])
        self.writer = self._writer(staging, chained=True)
        self.session.execute(self.writer.drop_unchained())

    def _count(self) -> int:
        """How many rows live after the batch; returns how many of them have no value in their key."""
        self.alive, keyless = self.session.query(self.writer.staged())[0]
        return int(keyless)

    def _insert_new(self) -> bool:
        """Insert rows that are all new; False, and nothing done, where one of them is there already."""
        if set(self.section.counts) != {"I"} or self.forward or self.judge.buried():
            return False
        if self._inserts_at_once:
            return self._insert_at_once()
        with suppress(_NotNew), self.session.attempt():
            self.all_new = self._insert() == self.alive
            if not self.all_new:
                raise _NotNew
        return self.all_new

    @property
    def _inserts_at_once(self) -> bool:
        """Whether new rows may be inserted without a look whether they are there, and get their versions with it."""
        return self.writer.refuses_second and self.judge.needs_no_times

    def _insert_at_once(self) -> bool:
        """Insert rows that are all new, with their versions; False, and nothing done, where that cannot be."""
        self.stamped = False
        try:
            with self.session.attempt():
                if self.judge.versions.insert_new(self.session) != self.alive:
                    raise _NotNew
                self.stamped = True
        except _NotNew:
            pass
        except DatabaseError as error:
            if error.temporary:
                raise
            log.debug("rows of table %s are not inserted at once: %s", self.section.table, error)
        return self.stamped

    def _move_past(self, column: str) -> None:
        highest = self.session.query(self.writer.highest(column))[0][0]
        table = self.stage.described[self.section.table]
        if highest is not None and not self.session.database.move_past(self.session, table, column, highest):
            log.warning(
                "table %s: the role may not move the sequence of column %s past the numbers that arrived, so that the "
                "next row of an application may be refused there; grant usage, update on its sequence",
                self.section.table,
                column,
            )

    def _insert(self, *, hanging: bool = False) -> int:
        table = self.stage.described[self.section.table]
        columns = sqlfiles.columns(self.writer.written)
        rows = self._new_rows(hanging=hanging)
        holes = {"table": sqlfiles.quote(table.schema, table.name), "columns": columns, "rows": rows}
        before = self._standing() if self.through else 0
        touched = self.session.touch("insert_rows", holes)
        return self._standing() - before if self.through else touched

    def _new_rows(self, *, hanging: bool) -> str:
        """The query for rows that are not there yet; a view's rules may ask it again after they have written some."""
        query = self.writer.new_rows(hanging=hanging)
        if not self.through:
            return self.session.database.compile(query)
        self._keep(self.writer.fresh, query)
        return self.session.database.compile(sa.select(self.writer.fresh))

    @property
    def through(self) -> bool:
        """Whether rows are written through a view, of which no database says how many those are."""
        landing = self.stage.landed.landings.get(self.section.table)
        return landing is not None and landing.through

    def _standing(self, *, whole: bool = False) -> int:
        """How many of the staged rows (``whole``: of those whose parents are all there) the view shows."""
        return int(self.session.query(belonging.standing(self.writer, whole=whole))[0][0])

    def _bring(self, *, hanging: bool = False) -> int:
        """Insert what is new among other rows, each to get its version; returns how many those are."""
        done = self._insert(hanging=hanging)
        self.judge.stale = self.judge.stale or done > 0
        return done

    def _insert_in_rounds(self) -> None:
        """Insert what is new, again and again while rows of the same table wait for each other.

        Those that are left form a circle: where constraints are deferred, their references may be wrong for a while.
        """
        while self._bring():
            pass
        if not self.writer.hangs:
            return
        try:
            with self.session.attempt():
                self._bring(hanging=True)
        except DatabaseError as error:
            if error.temporary:
                raise
            log.debug("a circle in table %s: %s", self.section.table, error)

    def _explain_missing(self) -> None:
        orphans = self.session.query(self.writer.orphans())
        if orphans:
            references = self._shape.references
            rows = [Orphan(self.section.table, seq, references[lacks].table) for seq, lacks in orphans]
            raise Missing(rows)
        self.check()
        raise CdcSyncError(
            f"table {self.section.table!r}: not every row could be matched by its natural key",
            hint="check that the key is unique at the source",
        )


def _target(landed: Landed, table: str, column: str) -> Target:
    if not column:
        return Target(table=table, column="", declared="text", kind=Kind.TEXT)
    found = landed.column(table, column)
    if found is None:
        return Target(table=table, column="", declared="text", kind=Kind.TEXT, absent=True)
    return Target(table=table, column=column, declared=found.declared, kind=found.kind)
