"""Whether the destinations hold what this node holds: compared by natural key, at a position that both have reached.

The first look (``candidates``) finds rows that may differ; the second one decides. A row counts as missing or different
only where

* no change of it, and none of a parent whose key stands in it, waits in the snapshot in which it is read here, and
* the destination has applied exactly the batches that were sealed by then, no fewer and no more, when it is read there.

Whoever writes or replicates meanwhile makes the second look wait, or leaves rows out that will be sent anyway; it never
makes a difference of what is merely on its way. Whether two values are equal is for the destination to say: what should
stand there is staged by the same conversions as in an apply, and compared in the destination's own types.

A row that only the destination has is nobody's fault: other nodes send there too, and the server has rows of its own.
It is listed, and never deleted.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from cdc_sync import databases, follow, registry
from cdc_sync.candidates import Group, Pages, Row, Side, Spool, find, key_digest
from cdc_sync.config import Config, Destination
from cdc_sync.core import digest, fit
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import Database, Mode, Session, comparing, notes, pages
from cdc_sync.databases.before import prepare
from cdc_sync.databases.comparing import DIFFERENT, MISSING, Between, Judge
from cdc_sync.databases.reading import DIFFERS, STANDS, Reader
from cdc_sync.databases.source import Source
from cdc_sync.errors import ConfigError, Deferred
from cdc_sync.resync import chosen
from cdc_sync.ship import Progress

PATIENCE = 20.0
"""Seconds that a destination may take to apply what is sealed, while somebody replicates."""

RETRY = 0.2
"""Seconds between two looks at how far it is."""

EXTRA = "only at the destination"
Keys = list[tuple[str, ...]]


@dataclass(slots=True, kw_only=True)
class Verified:
    """How one table stands at one destination.

    ``missing``, ``different`` and ``extra`` (only at the destination) count rows; ``keys`` are natural keys of the
    first of them, by what is said of them. ``waiting`` rows have changes on their way and were left out. ``repaired``
    ones will be sent by the next ``replicate``.
    """

    destination: str
    table: str
    rows: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    waiting: int = 0
    repaired: int = 0
    keys: dict[str, Keys] = field(default_factory=dict)

    def differs(self, *, exact: bool) -> bool:
        """Whether the destination lacks something; ``exact``: or has rows that this node does not have."""
        return bool(self.missing or self.different or (exact and self.extra))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Here:
    """What this node says of candidates: how far it had sealed, and the numbers of those that have changes on their
    way; of the destination's rows, those whose key stands here, and which keys are about to go."""

    sealed: int
    pending: Sequence[int]
    named: frozenset[int]
    departed: Mapping[tuple[int, int], frozenset[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What the destination says: what is wrong with rows of this node, and which rows there are of none of them."""

    verdicts: Mapping[int, str]
    strangers: Sequence[int]


def verify(
    database: Database,
    config: Config,
    tables: Sequence[str] = (),
    *,
    repair: bool = False,
    most: int = 20,
    progress: Progress | None = None,
) -> list[Verified]:
    """Compare these tables (all captured ones, where none is named) with every destination that is a database.

    ``repair`` has rows that are missing or different there sent by the next ``replicate``; ``most`` keys of each kind
    are kept for the report. Raises ConfigError where a table is not captured or no destination can be compared with,
    Deferred where a destination has not applied what is sealed.
    """
    source = _source(database, config)
    order = chosen(source, tables)
    reports = []
    for destination in _direct(config):
        with databases.connect(destination.url, config.folder) as target:
            if not _has_rows(target):
                continue
            pair = _Pair(database, config, target, destination, source)
            for name in order:
                one = Verification(pair, name, most, repair=repair)
                if progress is not None:
                    progress.waiting(one.here.total() + one.there.total())
                reports.append(one.run(progress or Progress()))
    if order and not reports:
        raise _nothing_to_read()
    return reports


def _source(database: Database, config: Config) -> Source:
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session) or not session.run("node"):
            raise ConfigError(f"no triggers are installed in {database}", hint="run cdc-sync install-triggers")
        registry.check_name(session, config.node.name)
        follow.check_configured(session, config)
        source = follow.source(session)
        config.renames.check(source.shapes)
        return source


def _has_rows(target: Database) -> bool:
    """Whether the destination applies what it gets; a relay that only carries has no tables to compare with."""
    with target.begin(Mode.READ) as session:
        return not registry.is_installed(session) or registry.role(session).applies


def _direct(config: Config) -> list[Destination]:
    """The destinations whose rows can be seen from here."""
    found = [d for d in config.databases if d.scheme in databases.names()]
    if not found:
        raise _nothing_to_read()
    return found


def _nothing_to_read() -> ConfigError:
    return ConfigError(
        "no destination is a database that this node can read",
        hint="add [[destinations]] with the url of a database, or verify on a node that has one",
    )


class _Pair:
    """This node and one destination, which is known to have the tables."""

    def __init__(
        self, database: Database, config: Config, target: Database, destination: Destination, source: Source
    ) -> None:
        self.database, self.target, self.source, self.name = database, target, source, destination.name
        shapes, where = config.renames.named(source.shapes), f"destination {self.name!r}"
        with database.begin(Mode.READ) as session:
            self.origin, self.epoch, _ = session.run("node")[0]
            here = registry.describe(session, sorted(source.shapes))
        with target.begin(Mode.READ) as session:
            there = target.describe(session, sorted(shapes))
        fit.check_target(shapes, [config.renames.table(name) for name in source.sent], there, where, target)
        self.between = Between(shapes=source.shapes, renames=config.renames, here=here, there=there, where=where)
        self._wait()

    def applied(self, session: Session) -> int:
        """Up to which of this node's batches the destination has applied."""
        rows = session.run("positions") if registry.is_installed(session) else []
        return next((row[3] for row in rows if row[:2] == (self.origin, self.epoch)), 0)

    def _wait(self) -> None:
        """Until the destination has applied what is sealed now. Raises Deferred where it does not."""
        with self.database.begin(Mode.READ) as session:
            sealed = last_sealed(session)
        until = time.monotonic() + PATIENCE
        while True:
            with self.target.begin(Mode.READ) as session:
                applied = self.applied(session)
            if applied >= sealed:
                return
            if time.monotonic() > until:
                raise self.behind(applied, sealed)
            time.sleep(RETRY)

    def behind(self, applied: int, sealed: int) -> Deferred:
        return Deferred(
            f"destination {self.name!r} has applied batches up to {applied} and not yet those up to {sealed}",
            hint="run cdc-sync replicate --once first",
        )


def last_sealed(session: Session) -> int:
    return int((session.run("outbox_last") or [(0, b"")])[0][0])


class Verification:
    """One table at one destination."""

    def __init__(self, pair: _Pair, name: str, most: int, *, repair: bool) -> None:
        self.pair, self.name, self.most, self.repair = pair, name, most, repair
        self.settings = pair.source.tracked[name].settings
        compared = pair.between.compared(name, updates="update" in self.settings.operations)
        visible = pair.source.passes(name, comparing.live_column)
        here = Side(database=pair.database, compared=compared[0], visible=visible)
        there = Side(database=pair.target, compared=compared[1])
        self.here, self.there = Pages(here, here, there), Pages(there, here, there)
        self.report = Verified(destination=pair.name, table=name)

    def run(self, progress: Progress) -> Verified:
        for group in find(self.here, self.there, progress):
            self.decide(group)
        self.report.rows = self.here.count
        return self.report

    def decide(self, group: Group) -> None:
        """Look again until both sides are seen at one position."""
        until = time.monotonic() + PATIENCE
        while True:
            with Spool() as standing:
                here = self._look_here(group, standing)
                with self.pair.target.begin(Mode.READ) as session:
                    applied = self.pair.applied(session)
                    there = self._look_there(session, group, here, standing) if applied == here.sealed else None
            if there is not None:
                break
            if time.monotonic() > until:
                raise self.pair.behind(applied, here.sealed)
            time.sleep(RETRY)
        self._note(group, here, there)

    def _look_here(self, group: Group, standing: Spool) -> _Here:
        """What this node says now; rows that should stand at the destination go into ``standing``."""
        database = self.pair.database
        with database.snapshot() as session:
            source = follow.source(session)
            reader, noted = prepare(session, source)
            pending = comparing.keep_pending(session, source)
            wanted = self._staged(session, "cdc_sync_wanted", self.here, group.here)
            found = comparing.standing(self.here.compared, source, wanted, pending)
            for chunk in database.read_rows(session, found.settled):
                standing.add(chunk.data)
            return _Here(
                sealed=last_sealed(session),
                pending=[number for (number,) in session.query(found.pending)],
                named=frozenset(self._named(session, source, group)),
                departed=self._departed(session, group, reader, noted),
            )

    def _named(self, session: Session, source: Source, group: Group) -> Iterator[int]:
        """The numbers of the destination's rows under whose key a row stands here, wherever the first look saw it."""
        part = pages.join(self.pair.target.encoding, [[number, *row.leaves] for number, row in enumerate(group.there)])
        keys = comparing.stage_keys(session, self.here.compared, self.there.compared, "cdc_sync_keys", part)
        return (number for (number,) in session.query(comparing.named(self.here.compared, source, keys)))

    def _staged(self, session: Session, name: str, side: Pages, rows: Sequence[Row]) -> sa.TableClause:
        """Where these rows stand, each with its number in the group."""
        encoding, compared = session.database.encoding, side.compared
        data = pages.join(encoding, [[*row.place, number] for number, row in enumerate(rows)])
        return pages.stage(session, name, compared.tables[compared.name], compared.apart, [data], numbered=True)

    def _departed(
        self, session: Session, group: Group, reader: Reader, noted: Mapping[str, Mapping[str, int]]
    ) -> dict[tuple[int, int], frozenset[bytes]]:
        """Of keys that stand in rows of the destination: those that changes take away which are not sealed yet."""
        found = {}
        for table, start, end in self.here.compared.parts():
            if noted.get(table):
                wanted = {key_digest(self.there.keys[start:end], row.leaves[start:end]) for row in group.there}
                gone = self._keys(session, reader, table, start, end)
                found[start, end] = frozenset(key for key in gone if key in wanted)
        return found

    def _keys(self, session: Session, reader: Reader, table: str, start: int, end: int) -> Iterator[bytes]:
        for chunk in session.database.read_rows(session, reader.departures(table)):
            for leaves in pages.split(PartRows(encoding=session.database.encoding, data=chunk.data)):
                yield key_digest(self.here.keys[start:end], leaves)

    def _look_there(self, session: Session, group: Group, here: _Here, standing: Spool) -> _There:
        judge, encoding = Judge(session, self.there.compared, "cdc_sync_should"), self.pair.database.encoding
        refused = [number for data in standing for number in judge.load(PartRows(encoding=encoding, data=data))]
        verdicts = dict(session.query(judge.verdicts())) | dict.fromkeys(refused, DIFFERENT)
        wanted = self._staged(session, "cdc_sync_found", self.there, group.there)
        ours = {group.here[number].key for number in (*refused, *here.pending)}
        strangers = [
            number
            for number, key in self._strangers(session, judge.strangers(wanted))
            if number not in here.named and key == group.there[number].key and key not in ours
        ]
        return _There(verdicts=verdicts, strangers=strangers)

    def _strangers(self, session: Session, query: sa.Select[*tuple[object, ...]]) -> Iterator[tuple[int, bytes]]:
        """Numbers of rows, each with the digest of the key that it has now."""
        for chunk in session.database.read_rows(session, query):
            for number, *leaves in pages.split(PartRows(encoding=session.database.encoding, data=chunk.data)):
                yield int(number), key_digest(self.there.keys, leaves)

    def _note(self, group: Group, here: _Here, there: _There) -> None:
        """Take what both sides said into the report, and have rows sent where that is asked for."""
        wrong = [
            (group.here[number], verdict)
            for number, verdict in sorted(there.verdicts.items())
            if verdict != MISSING or "insert" in self.settings.operations
        ]
        strangers = [group.there[number] for number in sorted(there.strangers)]
        extra = [row for row in strangers if not self._leaves(row, here)]
        report = self.report
        report.missing += sum(verdict == MISSING for _, verdict in wrong)
        report.different += sum(verdict == DIFFERENT for _, verdict in wrong)
        report.extra += len(extra)
        report.waiting += len(here.pending) + len(strangers) - len(extra)
        for row, verdict in wrong:
            self._name(verdict, row, self.here)
        for row in extra:
            self._name(EXTRA, row, self.there)
        if self.repair:
            for verdict, op in ((MISSING, STANDS), (DIFFERENT, DIFFERS)):
                report.repaired += self._send([row for row, said in wrong if said == verdict], op)

    def _leaves(self, row: Row, here: _Here) -> bool:
        """Whether a change on its way takes a row's key away, or that of a parent which stands in it."""
        return any(
            key_digest(self.there.keys[start:end], row.leaves[start:end]) in gone
            for (start, end), gone in here.departed.items()
        )

    def _name(self, verdict: str, row: Row, side: Pages) -> None:
        keys = self.report.keys.setdefault(verdict, [])
        if len(keys) < self.most:
            keys.append(tuple(str(digest.text(leaf, side.side.database.encoding)) for leaf in row.leaves))

    def _send(self, rows: Sequence[Row], op: str) -> int:
        """Note rows, to be sent as they stand when they are sealed (``databases.notes``)."""

        def work(session: Session) -> int:
            tracked = follow.source(session).tracked[self.name]
            session.run("note_hold", {"table": tracked.quoted})
            data = pages.join(session.database.encoding, [row.place for row in rows])
            chosen = pages.stage(session, "cdc_sync_chosen", tracked.table, tracked.shape.identity, [data])
            session.database.keep(session, "cdc_sync_rows", notes.of(session.database, tracked, chosen))
            return notes.write(session, tracked, "cdc_sync_rows", op)

        return self.pair.database.patiently(work) if rows else 0
