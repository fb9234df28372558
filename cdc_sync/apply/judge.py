"""Conflicts of one table of one batch: found by its rows' versions, decided by the table's policy, written down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cdc_sync import peers
from cdc_sync.apply import records
from cdc_sync.apply.merging import Merger
from cdc_sync.apply.records import Record
from cdc_sync.core.change import COMES, WORDS, Op
from cdc_sync.core.conflicts import Kind, Met, Outcome, Policies, Policy, decide
from cdc_sync.databases import Session, images, tombstones
from cdc_sync.databases.base import constant
from cdc_sync.databases.versions import Versions
from cdc_sync.databases.writing import Writer
from cdc_sync.errors import CdcSyncError

MERGED = (Kind.UPDATE_ORIGIN_DIFFERS, Kind.INSERT_EXISTS)
"""Conflicts of two versions of one row, which may have columns of either."""

MANY = 500
"""Conflicts that are decided and written down at a time."""


class Held(CdcSyncError):
    """Changes that wait for a decision, each with its record."""

    def __init__(self, records: Sequence[Record]) -> None:
        first = records[0]
        super().__init__(
            f"conflict {first.met.kind} in table {first.table!r}: two versions of a row, and nobody has decided",
            hint="cdc-sync conflicts lists both, and takes a decision",
        )
        self.records = records


class Conflict(CdcSyncError):
    """Two rows at one place, of which one must go elsewhere."""


@dataclass(slots=True)
class Bench:
    """What judges need to know: ``node`` is the origin of the batch, ``place`` under which batch they write down what
    they find; None where that is known already.
    """

    node: str = ""
    policies: Policies = field(default_factory=Policies)
    place: Mapping[str, object] | None = None
    _may_write: dict[str, bool] = field(default_factory=dict)

    def may_write_over(self, session: Session, table: str) -> bool:
        """Whether the origin may change rows that stand. Asked only where rows are not all new."""
        if table not in self._may_write:
            peer = peers.find(session, self.node)
            may = peer is None or peer.grants is None or WORDS[Op.UPDATE] in peer.grants.get(table, ())
            self._may_write[table] = may
        return self._may_write[table]

    @property
    def latest(self) -> str:
        """The latest time of capture that is believed."""
        latest = datetime.now(UTC) + timedelta(seconds=self.policies.clock_ahead)
        return latest.isoformat(sep=" ", timespec="microseconds")


class Judge:
    """Finds what one table's staged changes meet, and takes out those that lose."""

    def __init__(self, session: Session, bench: Bench, writer: Writer, version_table: str) -> None:
        self.session = session
        self.bench = bench
        self.writer = writer
        self.name = version_table
        self.policy: Policy = bench.policies.of(writer.name)
        self.stale = False
        self.graves: Mapping[int, str] | None = None
        self.merger = Merger(session, bench.node)

    @property
    def versions(self) -> Versions:
        return Versions(self.writer, self.name, self.bench.node)

    @property
    def newest_wins(self) -> bool:
        """Whether it counts when a row went: then one that came and went in a batch went for others, too."""
        return self.policy.conflict == "newest_wins"

    def marked(self, writer: Writer) -> None:
        """Judge deletions and key changes, once the rows that they are about are found."""
        self.writer = writer
        self._bury()
        kinds = {"D": Kind.DELETE_ORIGIN_DIFFERS}
        found = [
            Met(
                seq=seq,
                kind=kinds.get(op, Kind.UPDATE_ORIGIN_DIFFERS),
                at=at,
                origin=origin or "",
                written_at=when or "",
            )
            for seq, op, at, origin, when in self.session.query(self.versions.met_marked())
            if origin is not None or self.policy.conflict != "source_wins"
        ]
        buried = self.buried()
        kinds = {"D": Kind.DELETE_MISSING}
        found += [
            Met(seq=seq, kind=kinds.get(op, Kind.UPDATE_MISSING), at=at, buried=buried.get(seq, ""))
            for seq, op, at in self.session.query(self.versions.unmarked())
        ]
        self._judge(found)

    def living(self, writer: Writer) -> None:
        """Judge what is inserted or updated, once its parents are there."""
        self.writer = writer
        found: list[Met] = []
        idle, buried = [], self.buried()
        yielding = not self.bench.may_write_over(self.session, writer.name)
        query = self.versions.met(entered=bool(buried), own=yielding)
        for seq, op, at, there, differs, origin, when in self.session.query(query):
            self.stale = True
            yields = op == Op.YIELD or (yielding and op == Op.INSERT)
            if there and yields and not differs:
                idle.append(seq)
            elif there and (yields or origin is not None or self._is_conflict(op, bool(differs))):
                kind = Kind.INSERT_EXISTS if op in COMES else Kind.UPDATE_ORIGIN_DIFFERS
                found.append(Met(seq=seq, kind=kind, at=at, origin=origin or "", written_at=when or "", yields=yields))
            elif not there and (op not in COMES or buried.get(seq, "") > at):
                found.append(Met(seq=seq, kind=Kind.UPDATE_MISSING, at=at, buried=buried.get(seq, "")))
        self._judge(found)
        self._take_out(idle)

    def _is_conflict(self, op: str, differs: bool) -> bool:
        """Whether a row that nobody of ours wrote is in the way: one that is the same, or only older, is not."""
        return differs and (op == "I" or self.policy.conflict != "source_wins")

    def buried(self) -> Mapping[int, str]:
        """When rows of staged changes went by others' doing, where the newest change wins."""
        if not self.newest_wins:
            return {}
        if self.graves is None:
            self.graves = tombstones.buried(self.session, self._called, self.bench.node, self._keys())
        return self.graves

    def _bury(self) -> None:
        """Remember what went, where the newest change wins; also what is not there yet, because it may come.

        Also a key that a row was given another one for. What no believable clock says is not remembered: it would keep
        out what is newer.
        """
        if not self.newest_wins or not self.writer.layout.old:
            return
        fate, latest = self.writer.fate, self.bench.latest
        old = [self.session.database.apart(fate.c[column.name]) for column in self.writer.layout.old]
        gone = self.session.query(sa.select(sa.func.coalesce(fate.c.gone, constant("")), *old))
        believed = ((at, leaves) for at, *leaves in gone if at <= latest)
        tombstones.bury(self.session, self._called, self.bench.node, believed)

    @property
    def _called(self) -> str:
        return self.writer.described[self.writer.name].called

    def _keys(self) -> Iterable[tuple[int, Sequence[object]]]:
        """Natural keys of staged rows: that before the batch where there is one."""
        writer, apart = self.writer, self.session.database.apart
        now = [apart(writer.staging.c[name]) for name in images.key_columns(writer)]
        yield from ((seq, leaves) for seq, *leaves in self.session.query(sa.select(writer.staging.c.seq, *now)))
        if writer.layout.old:
            old = [apart(writer.fate.c[column.name]) for column in writer.layout.old]
            yield from ((seq, leaves) for seq, *leaves in self.session.query(sa.select(writer.fate.c.seq, *old)))

    # --- decisions

    def _judge(self, found: Sequence[Met]) -> None:
        if not found:
            return
        latest = self.bench.latest
        if self.policy.merge == "columns":
            self.merger.look(self.writer)
        held: list[Record] = []
        losing: list[int] = []
        for start in range(0, len(found), MANY):
            for record in self._judge_some(found[start : start + MANY], latest):
                if record.outcome is Outcome.HELD:
                    held.append(record)
                elif record.outcome is Outcome.TARGET:
                    losing.append(record.met.seq)
        if held:
            raise Held(held)
        if losing and self.policy.merge == "columns" and not self.writer.layout.old:
            self.merger.remember()
        self._take_out(losing)

    def _judge_some(self, found: Sequence[Met], latest: str) -> list[Record]:
        """Decide, and write down."""
        outcomes = {met.seq: decide(met, self.policy, self.bench.node, latest) for met in found}
        sources, targets = self._images([constant(met.seq) for met in found])
        if self.policy.merge == "columns":
            both = [
                met.seq
                for met in found
                if met.kind in MERGED and not met.yields and met.seq in sources and met.seq in targets
            ]
            outcomes |= self.merger.merge(both, sources, targets, outcomes.__getitem__)
        found_here = [self._record(met, outcomes[met.seq], sources, targets) for met in found]
        if self.bench.place is not None:
            records.write(self.session, self.bench.place, found_here)
        return found_here

    def _take_out(self, seqs: Sequence[int]) -> None:
        staged = [self.writer.staging] + ([self.writer.fate, self.writer.mark] if self.writer.layout.old else [])
        for start in range(0, len(seqs), MANY):
            some = [constant(seq) for seq in seqs[start : start + MANY]]
            for table in staged:
                self.session.execute(sa.delete(table).where(table.c.seq.in_(some)))

    def _record(self, met: Met, outcome: Outcome, sources: Mapping[int, str], targets: Mapping[int, str]) -> Record:
        return Record(
            table=self.writer.name,
            met=met,
            policy=self.policy.conflict,
            outcome=outcome,
            source_row=sources.get(met.seq, "{}"),
            target_row=targets.get(met.seq, "{}"),
        )

    def _images(self, seqs: Sequence[sa.ColumnElement[Any]]) -> tuple[dict[int, str], dict[int, str]]:
        """Both versions of rows, as JSON for people to read: what came, and what stands here."""
        targets: dict[int, str] = {}
        for query in images.stands(self.writer, seqs):
            targets |= self._read(query)
        return self._read(images.came(self.writer, seqs)), targets

    def _read(self, query: images.Query) -> dict[int, str]:
        return {seq: images.text(self.writer, values) for seq, *values in self.session.query(query)}

    # --- versions

    @property
    def needs_no_times(self) -> bool:
        """Whether nothing is decided by when the rows that are written were captured."""
        return not self.newest_wins and self.policy.merge != "columns"

    def leave(self, writer: Writer) -> None:
        """Rows leave their places: what is known of these is forgotten."""
        self.writer = writer
        if writer.layout.old:
            self.session.execute(self.versions.forget_marked())
            self.stale = True

    def stamp(self, writer: Writer, *, all_new: bool) -> None:
        """Rows that were written get the batch's version."""
        self.writer = writer
        if self.policy.merge == "columns":
            self.merger.look(writer)
            self.merger.remember()
        if not (all_new or self.stale or self.newest_wins):
            return
        if all_new:
            self.versions.stamp_new(self.session)
        else:
            self.versions.stamp(self.session)
