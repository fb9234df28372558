"""What cannot be applied as a whole is applied in parts: the set, smaller sets, single rows. The rest is put aside."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cdc_sync.apply import refusals
from cdc_sync.apply.batch import Batch
from cdc_sync.apply.judge import Bench, Conflict, Held
from cdc_sync.apply.orphans import Missing
from cdc_sync.apply.records import Record
from cdc_sync.apply.refusals import Aside, Refused
from cdc_sync.apply.strays import Strayed
from cdc_sync.apply.work import TAKEN
from cdc_sync.core import letters
from cdc_sync.core.change import Shape
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.layout import layout
from cdc_sync.core.letters import Reason, State
from cdc_sync.core.wire import PartRows, Section
from cdc_sync.databases import Session, moving, units
from cdc_sync.databases.base import constant
from cdc_sync.errors import CdcSyncError, ConfigError, DatabaseError, Deferred, RefusedRow

TOGETHER = 16
"""Units at most that are tried without each one in turn, because they may only be applied together."""


MANY = 500
"""Places from which on a statement reads them from a table."""

_ASIDE = sa.table("cdc_sync_aside", sa.column("place"))
"""The units that are put aside, while the others are tried."""

_FOREIGN_KEY = ("23503", "SQLITE_CONSTRAINT_FOREIGNKEY")
"""Codes of a foreign key that leads nowhere, or would."""

_KEYED = {"D": 1}
"""Counts of a section that is laid out with old keys, whatever it holds."""


class Ladder:
    """Changes of one origin: staged as they came (``raw``), then tried in parts; each is applied or put aside.

    What is tried is a selection of *units* (see ``databases.units``), each within a savepoint.
    """

    def __init__(
        self,
        session: Session,
        shapes: Sequence[Shape],
        tables: Iterable[str],
        place: Mapping[str, object],
        policies: Policies,
    ) -> None:
        self.session = session
        self.shapes = shapes
        self.place = place
        self.policies = policies
        sections = [Section(table=table, counts=_KEYED) for table in tables]
        self.raw = Batch(session, shapes, sections, self._bench(), "cdc_sync_raw_")
        self.unit = {
            table: sa.table(f"{work.scratch}unit", sa.column("seq"), sa.column("place"))
            for table, work in self.raw.work.items()
        }
        self.refused: list[Refused] = []
        self.aside: dict[int, Reason] = {}
        self.blocked: set[int] = set()
        self.held: dict[int, Record] = {}
        self.units = 0
        self.dangling = self._dangling()

    def _bench(self) -> Bench:
        place = None if self.policies.decided else self.place
        return Bench(node=str(self.place["origin"]), policies=self.policies, place=place)

    # --- staging

    def load(self, table: str, rows: PartRows, *, keyed: bool) -> None:
        """Stage rows; those that the target cannot hold are kept beside."""
        pending = [rows]
        while pending:
            part = pending.pop()
            try:
                with self.session.attempt():
                    self.raw.load(table, part, keyed=keyed)
            except RefusedRow as error:
                refused = {one.row: Reason(state=State.DEAD, error=one) for one in (error, *error.others)}
                single = list(letters.single_rows(part))
                laid = layout(self.raw.stage.sent, table, keyed=keyed)
                for i, reason in refused.items():
                    self.refused.append(refusals.refused(self.raw.stage.sent[table], laid, single[i], keyed, reason))
                # What came before the first refused row was taken: it is not read again for each row after it.
                before = [row for i, row in enumerate(single) if i < min(refused)]
                after = [row for i, row in enumerate(single) if i > min(refused) and i not in refused]
                pending += [letters.joined(rest) for rest in (after, before) if rest]

    def standings(self, table: str) -> Iterator[tuple[str, int]]:
        """Where the row of each staged change stood before it, with the change's seq."""
        writer = self.raw.work[table].writer
        width = len(self.raw.stage.shapes[table].identity)
        for row in self.session.query(writer.identities()):
            identity = row[2 : 2 + width]
            was = row[2 + width : 2 + 2 * width] if row[1] == "K" else identity
            yield letters.standing(was), row[0]

    def number(self) -> None:
        """Number the units, once everything is staged."""
        self.session.database.create_staging(self.session, "cdc_sync_aside", [("place", "bigint")])
        self._blank_superseded()
        tables = list(self.raw.work)
        sizes = {table: self._sizes(table) for table in tables}
        lives_from, goes_from = 0, sum(lives for lives, _ in sizes.values())
        goes: dict[str, int] = {}
        for table in reversed(tables):
            goes[table] = goes_from
            goes_from += sizes[table][1]
        for table in tables:
            query = units.places(self.raw.work[table].writer, lives_from, goes[table])
            self.session.database.keep(self.session, self.unit[table].name, query)
            lives_from += sizes[table][0]
        self.units = goes_from
        for table in tables:
            self._bind(table)

    def _bind(self, table: str) -> None:
        """What is said of a row that leaves a view is tried with what is said of it in another one of the table."""
        unit, work = self.unit[table], self.raw.work[table]
        for other in self.raw.stage.landed.kin(table):
            if other in self.raw.work:
                pairs = sa.table("cdc_sync_pairs", sa.column("place"), sa.column("other"))
                query = moving.together(work.writer, self.raw.work[other].writer, unit, self.unit[other])
                self.session.database.keep(self.session, pairs.name, query)
                same = unit.c.place == pairs.c.place
                self.session.execute(sa.update(unit).values({unit.c.place: pairs.c.other}).where(same))

    def _sizes(self, table: str) -> tuple[int, int]:
        """How many of the table's rows live on, and how many go."""
        work = self.raw.work[table]
        work.recount()
        work.chain()
        counted = dict(self.session.query(units.count(work.writer)))
        return counted.get(1, 0), counted.get(0, 0)

    def spoken_of(self, table: str) -> set[str]:
        """Where rows stood before their changes, staged or not."""
        return {was for was, _ in self.standings(table)} | {row.was for row in self.refused if row.table == table}

    def _blank_superseded(self) -> None:
        """Stage rows without the value that cannot be held, where it does not matter.

        A row's values do not where a later change of the same row, which is staged, brings others; its old key does not
        where an earlier change has it.
        """
        kept = []
        for table in {row.table for row in self.refused}:
            refused = sorted((row for row in self.refused if row.table == table), key=lambda row: row.seq, reverse=True)
            first, newest = self._first_and_newest(table, refused)
            for row in refused:
                if self._stage_blank(row, values=newest.get(row.standing, -1) > row.seq, old=first[row.was] < row.seq):
                    newest[row.was] = max(newest.get(row.was, -1), row.seq)
                else:
                    kept.append(row)
        self.refused = kept

    def _first_and_newest(self, table: str, refused: Sequence[Refused]) -> tuple[dict[str, int], dict[str, int]]:
        """Where rows stood before their changes, with the first change there, and with the newest that is staged."""
        first: dict[str, int] = {}
        newest: dict[str, int] = {}
        for was, seq in self.standings(table):
            first[was] = min(first.get(was, seq), seq)
            newest[was] = max(newest.get(was, seq), seq)
        for row in refused:
            first[row.was] = min(first.get(row.was, row.seq), row.seq)
        return first, newest

    def _stage_blank(self, row: Refused, *, values: bool, old: bool) -> bool:
        if not (values or old):
            return False
        shapes = self.raw.stage.sent
        laid = layout(shapes, row.table, keyed=row.keyed)
        try:
            with self.session.attempt():
                rows = letters.blank(row.rows, laid, shapes[row.table].identity, values=values, old=old)
                self.raw.load(row.table, rows, keyed=row.keyed)
        except RefusedRow:
            return False
        return True

    # --- trying

    def climb(self) -> None:
        """Apply what can be applied. What is left stands in ``aside``, each unit with its first error."""
        failed = self._climb(range(1, self.units + 1))
        while before := {place: why for place, why in (self.aside | failed).items() if place not in self.blocked}:
            self._forget_aside(before)
            failed = self._climb(sorted(before))
            if len(self.aside) - len(self.blocked) + len(failed) >= len(before):
                break
        for place, reason in self._together(failed).items():
            self._put_aside({place: reason})

    def block(self, standings: Mapping[str, set[str]]) -> None:
        """Put aside, before anything is tried, what is said of rows that wait already, or could not be staged."""
        for table in self.raw.work:
            refused = {row.was for row in self.refused if row.table == table}
            waiting = standings.get(table, set()) | refused
            if not waiting:
                continue
            places = self._places(table)
            queued = {places[seq]: was for was, seq in self.standings(table) if was in waiting}
            error = Deferred("another change of this row waits", hint="see to that one: this follows by itself")
            self.blocked |= queued.keys()
            self._put_aside(
                {
                    place: Reason(state=State.DEAD if was in refused else State.DEFERRED, error=error)
                    for place, was in queued.items()
                }
            )

    def _climb(self, places: Sequence[int]) -> dict[int, Reason]:
        error = self._try(places)
        if error is None:
            return {}
        if len(places) == 1:
            return {places[0]: Reason(state=_state(error), error=error)}
        middle = len(places) // 2
        return self._climb(places[:middle]) | self._climb(places[middle:])

    def _together(self, failed: dict[int, Reason]) -> dict[int, Reason]:
        """Of units that fail alone, those that fail together too: values may change hands among the others."""
        if not 1 < len(failed) <= TOGETHER:
            return failed
        for left_out in sorted(failed):
            rest = [place for place in failed if place != left_out]
            if self._try(rest) is None:
                return {left_out: failed[left_out]}
        return failed

    def _try(self, places: Sequence[int]) -> CdcSyncError | None:
        while True:
            try:
                with self.session.attempt():
                    self._write(places)
            except Missing as missing:
                if not self._defer(missing):
                    return missing
            except Held as held:
                if not self._hold(held):
                    return held
            except Strayed as strayed:
                if not self._send_away(strayed):
                    return strayed
            except DatabaseError as error:
                if error.temporary:
                    raise
                return error
            except ConfigError:
                raise  # a right that is missing, a server that takes no writes: no fault of a row's
            except CdcSyncError as error:
                return error
            else:
                return None

    def _write(self, places: Sequence[int]) -> None:
        chosen = {table: self._chosen(table, places) for table in self.raw.work}
        sections = [Section(table=table, counts=self._counts(table, seqs)) for table, seqs in chosen.items()]
        sections = [section for section in sections if section.counts]
        if not sections:
            return
        batch = Batch(self.session, self.shapes, sections, self._bench(), "cdc_sync_try_")
        for table, work in batch.work.items():
            columns = [column.name for column in work.layout.columns]
            raw = self.raw.work[table].writer.staging
            rows = sa.select(*(raw.c[column] for column in columns)).where(raw.c.seq.in_(chosen[table]))
            self.session.execute(sa.insert(work.writer.staging).from_select(columns, rows))
        batch.write()
        self._check_references()

    def _check_references(self) -> None:
        """What deferred constraints would refuse at the end of the transaction must be refused now."""
        found = self._dangling() - self.dangling
        for table, _, parent, *_ in found:
            raise DatabaseError(
                f"table {table!r}: a row would point at no row of {parent!r}",
                code=_FOREIGN_KEY[0],
                hint="it waits until no row points there any more",
            )

    def _dangling(self) -> set[tuple[Any, ...]]:
        return self.session.database.dangling(self.session, self.raw.stage.landed.stored)

    def _chosen(self, table: str, places: Sequence[int]) -> sa.Select[tuple[int]]:
        """The changes of these units, but for those that are put aside."""
        unit = self.unit[table]
        if isinstance(places, range):
            within = sa.and_(unit.c.place >= constant(places.start), unit.c.place < constant(places.stop))
        elif len(places) < MANY:
            within = unit.c.place.in_([constant(place) for place in places])
        else:
            within = unit.c.place.in_(sa.select(self._kept(places).c.place))
        return sa.select(unit.c.seq).where(within, unit.c.place.not_in(sa.select(_ASIDE.c.place)))

    def _kept(self, places: Sequence[int]) -> sa.TableClause:
        kept = self.session.database.create_staging(self.session, "cdc_sync_chosen", [("place", "bigint")])
        self.session.many(sa.insert(kept), [{"place": place} for place in places])
        return kept

    def _counts(self, table: str, seqs: sa.Select[tuple[int]]) -> dict[str, int]:
        raw = self.raw.work[table].writer.staging
        counted = sa.select(raw.c.op, sa.func.count()).where(raw.c.seq.in_(seqs)).group_by(raw.c.op)
        return dict(self.session.query(counted))

    def _places(self, table: str) -> dict[int, int]:
        """Each staged change's unit."""
        unit = self.unit[table]
        return dict(self.session.query(sa.select(unit.c.seq, unit.c.place)))

    # --- putting aside

    def _defer(self, missing: Missing) -> bool:
        """Put the units of these rows aside. False where nothing is new."""
        places = {table: self._places(table) for table in {row.table for row in missing.rows}}
        return self._put_new_aside(
            (places[row.table][row.seq], Reason(state=State.DEFERRED, error=missing, awaits=row.parent))
            for row in missing.rows
        )

    def _hold(self, held: Held) -> bool:
        """Put the units of these changes aside until somebody decides. False where nothing is new."""
        places = {table: self._places(table) for table in {record.table for record in held.records}}
        found = {places[record.table][record.met.seq]: record for record in held.records}
        self.held = found | self.held
        return self._put_new_aside((place, Reason(state=State.HELD, error=held)) for place in found)

    def _send_away(self, strayed: Strayed) -> bool:
        """Put the units of rows aside that do not belong to the view they were sent to. False where none is new."""
        places, reason = self._places(strayed.table), Reason(state=State.DEAD, error=strayed)
        return self._put_new_aside((places[seq], reason) for seq in strayed.seqs)

    def _put_new_aside(self, reasons: Iterable[tuple[int, Reason]]) -> bool:
        """Put units aside that are not yet. False where there are none."""
        found = {place: reason for place, reason in reasons if place not in self.aside}
        self._put_aside(found)
        return bool(found)

    def _put_aside(self, reasons: Mapping[int, Reason]) -> None:
        self.aside |= reasons
        self.session.many(sa.insert(_ASIDE), [{"place": place} for place in reasons])

    def _forget_aside(self, tried_again: Mapping[int, Reason]) -> None:
        """These are to be tried again."""
        self.aside = {place: reason for place, reason in self.aside.items() if place not in tried_again}
        self.session.execute(sa.delete(_ASIDE))
        self._put_aside(dict(self.aside))

    def left(self) -> Iterator[Aside]:
        """What is put aside, unit by unit, with everything that is needed to try it again."""
        for table in self.raw.work:
            yield from self._left(table)
        yield from refusals.left(self.refused)

    def _left(self, table: str) -> Iterator[Aside]:
        work, unit = self.raw.work[table], self.unit[table]
        staging = work.writer.staging
        rows = staging.join(unit, unit.c.seq == staging.c.seq).join(_ASIDE, _ASIDE.c.place == unit.c.place)
        order = (unit.c.place, staging.c.seq)
        identity = [staging.c[work.layout.value(c)] for c in self.raw.stage.shapes[table].identity]
        about = self.session.query(
            sa.select(unit.c.place, staging.c.seq, staging.c.op, *map(self.session.database.apart, identity))
            .select_from(rows)
            .order_by(*order)
        )
        if not about:
            return
        columns = [staging.c[column.name] for column in work.layout.columns]
        read = self.session.database.read_rows(self.session, sa.select(*columns).select_from(rows).order_by(*order))
        encoding = self.session.database.encoding
        single = [row for chunk in read for row in letters.single_rows(PartRows(encoding=encoding, data=chunk.data))]
        together: defaultdict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(about):
            together[row[0]].append(i)
        for place, indexes in together.items():
            last = about[indexes[-1]]
            yield Aside(
                table=table,
                seq=about[indexes[0]][1],
                reason=self.aside[place],
                standing=None if last[2] == "D" else letters.standing(last[3:]),
                counts=Counter(about[i][2] for i in indexes),
                keyed=True,
                rows=letters.joined([single[i] for i in indexes]),
                record=self.held.get(place),
            )


def _state(error: CdcSyncError) -> State:
    """A row at which others point may go once they are gone; what is wrong with another one only a person can tell."""
    code = getattr(error, "code", "")
    if isinstance(error, Conflict) or code in TAKEN:
        return State.HELD
    return State.DEFERRED if code in _FOREIGN_KEY else State.DEAD
