"""The third room: one round of ``replicate``. Seals what waits, sends it everywhere, and keeps the receipts."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import apply, clock, databases, follow, identity, peers, receipts, registry, relay, roads, seal
from cdc_sync.carrier import Carrier, Roads
from cdc_sync.config import Config, Destination
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape, Shapes
from cdc_sync.core.wire import Header, Sealed, Section, fingerprint
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.databases.source import Source
from cdc_sync.delivery import Delivered as Delivered
from cdc_sync.delivery import Fetched as Fetched
from cdc_sync.delivery import Progress as Progress
from cdc_sync.delivery import deliver
from cdc_sync.errors import CdcSyncError, ConfigError, Unreachable
from cdc_sync.follow import Drifted
from cdc_sync.transports import Offered, Stream, Transport

log = logging.getLogger("cdc_sync")

FOLDER = 5.0
"""Seconds between two looks at a destination's folder: what was sealed meanwhile goes into one bundle."""


class Replicator:
    """One node at work: its database, its key, and its destinations."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self.config = config
        self.progress = progress
        self.roads: dict[str, Transport] = {}
        self.checked: set[str] = set()
        self.delivered: set[str] = set()
        self.done: list[Delivered | Fetched] = []
        self.seen: Source | None = None
        self.shapes: Shapes = {}
        self.captured: list[str] = []
        self._forget()

    def _forget(self) -> None:
        """Read again what only this process changes, and whatever may be released, at the next round."""
        self._last: Position | None = None
        self._kept: dict[str, Position] | None = None
        self._released = False

    @contextmanager
    def running(self) -> Iterator["Replicator"]:
        """Open the node's database and keep other replicators away from it."""
        with databases.connect(self.config.node.database, self.config.folder) as self.source:
            self._check_source()
            self.key: Ed25519PrivateKey = peers.own_key(self.source, self.config)
            with identity.exclusive(self.config.key_path), self.source.exclusive():
                relay.prepare(self.source, self.config)
                if any(destination.key for destination in self.config.destinations) or self.config.sources:
                    peers.learn_configured(self.source, self.config)
                ways = Roads(self._road, self._leave)
                self.carrier = Carrier(self.source, self.config, self.key, ways, self.progress)
                try:
                    self._learn()
                    self._apply_received()
                    yield self
                finally:
                    self.carrier.close()
                    self._leave(*self.config.reached)

    def _apply_received(self) -> None:
        """Apply what other nodes stored here, and whoever stored it could not apply. It keeps nothing of ours back."""
        if not self.config.node.apply:
            return
        try:
            count = apply.drain(self.source, self.config.policies)
        except CdcSyncError as error:
            log.warning("batches of other nodes wait here: %s", error)
        else:
            if count:
                log.info("applied %d batches that other nodes had stored here", count)

    def _check_source(self) -> None:
        serves = self.config.node.relay or bool(self.config.sources)
        with self.source.begin(Mode.READ) as session:
            rows = session.run("node") if registry.is_installed(session) else []
            if rows:
                registry.check_node(session, rows[0], self.config.node.name, self.config.key_path)
                follow.check_configured(session, self.config)
            elif not serves:
                raise ConfigError(f"no triggers are installed in {self.source}", hint="run cdc-sync install-triggers")
            self.epoch = str(rows[0][1]) if rows else ""
        if not self.config.destinations and (self.config.node.relay or not serves):
            raise ConfigError("the configuration names no destinations", hint="add [[destinations]] with name and url")

    @property
    def captures(self) -> bool:
        """Whether this node has changes of its own to send; a relay or a server need not."""
        return bool(self.epoch)

    def _learn(self) -> None:
        """Learn what the tables are like; where they are not what was installed, follow them first."""
        if not self.captures:
            return
        try:
            self._look()
        except Drifted:
            for table in follow.follow(self.source, self.config, self._seal_before):
                log.info("table %s has changed; it is captured anew", table.table)
                if table.unseen:
                    log.warning(
                        "table %s: %s. Rows that were deleted or given another key meanwhile were not seen: compare it "
                        "with the destinations, and delete there what is left over",
                        table.table,
                        table.unseen,
                    )
            self.checked.clear()
            self._look()

    def _seal_before(self) -> None:
        seal.as_captured(self.source, self.key, clock.now(), self.config.newest_wins)

    def _look(self) -> None:
        with self.source.begin(Mode.READ) as session:
            source = follow.source(session)
        self.config.renames.check(source.shapes)
        self.shapes, self.captured = source.shapes, sorted(source.sent)

    def round(self) -> list[Delivered | Fetched]:
        """Seal once, bring every destination up to date, and do what others need. Returns what came of it: ``done``.

        Raises the first error with this node's own batches, after all have had their turn; what goes wrong with those
        of others is told by ``carrier``.
        """
        self.done = []
        self.carrier.begin()
        try:
            errors = self._bring_own() if self.captures else []
            self._carry()
            if errors:
                raise errors[0]
        except BaseException:
            self._forget()
            raise
        return self.done

    def _bring_own(self) -> list[CdcSyncError]:
        try:
            self.done += self._seal()
        except Drifted:
            self._learn()
            self.done += self._seal()
        errors = []
        for destination in self.config.reached:
            if self._is_behind(destination):
                try:
                    self._bring(destination)
                except CdcSyncError as error:
                    self._leave(destination)
                    if destination.scheme == roads.FILE:
                        self._put_off(destination, error)
                        continue
                    self.carrier.troubles.note(destination.name, self.config.node.name, error)
                    errors.append(error)
        if not self._released:
            self._release()
        return errors

    def _put_off(self, destination: Destination, error: CdcSyncError) -> None:
        """A stick that is not there is nothing out of the ordinary, and keeps no other destination back."""
        self.carrier.failed(destination.name, "", error)
        self.carrier.turns.put_off((destination, "own"), FOLDER, FOLDER)

    def _is_behind(self, destination: Destination) -> bool:
        """Whether a destination may lack something; one that has stored everything is asked now and then."""
        sealed, there = self._sealed(), self._receipts().get(destination.name, self._at())
        if destination.scheme == roads.FILE:
            return self.carrier.turns.due((destination, "own"))
        if destination.name not in self.delivered or there.stored != sealed.stored or there.digest != sealed.digest:
            return True
        return there != sealed and self.carrier.turns.due((destination, "own"))

    def _bring(self, destination: Destination) -> None:
        before = self._receipts().get(destination.name)
        receipt = self._deliver(destination)
        self.carrier.troubles.clear(destination.name, self.config.node.name)
        self.carrier.troubles.clear(destination.name, "")
        if receipt != before or destination.name not in self.delivered:
            self.carrier.turns.at_once((destination, "own"))
            self.done.append(Delivered(destination=destination.name, receipt=receipt))
        if destination.scheme == roads.FILE:
            self.carrier.turns.put_off((destination, "own"), FOLDER, FOLDER)
        else:
            self.carrier.turns.put_off((destination, "own"))
        self.delivered.add(destination.name)

    def _carry(self) -> None:
        """What this node does for others."""
        fetched = self.carrier.fetch()
        if fetched:
            self._apply_received()
        self.done += [*fetched, *self.carrier.deliver()]
        awaited = self.captures and receipts.everywhere(self.config.final, self._receipts()) < self._sealed().stored
        if self.carrier.tidings(awaited=awaited):
            self._kept = None

    def with_waiting(self, done: Delivered | Fetched) -> Delivered | Fetched:
        """The same, with what was put aside there."""
        if isinstance(done, Fetched):
            return done
        destination = next(d for d in self.config.destinations if d.name == done.destination)
        return replace(done, waiting=self._road(destination).waiting(done.receipt.origin, done.receipt.epoch))

    def waits(self) -> bool:
        """Whether a change was captured that is not sealed. Costs little; a database that fails says so in a round."""
        with suppress(CdcSyncError, OSError):
            return self.seen is not None and bool(self.seen.tracked) and self.source.glance(self.seen.waiting)
        return False

    def rest(self) -> None:
        """Leave the roads, and see to what others left here: nothing has come for a while."""
        self._apply_received()
        self._leave(*self.config.reached)

    def _seal(self) -> list[Delivered]:
        """Seal what waits; the destinations that are up to date hear it already while it is read."""
        self._open_ahead()
        with ExitStack() as streams:
            listening: dict[str, Stream] = {}
            before, said = self._sealed(), self._receipts()

            def listen(shapes: Sequence[Shape], sections: Sequence[Section]) -> list[Stream]:
                for name, stream in self._streams(before, said, shapes, sections):
                    listening[name] = streams.enter_context(stream)
                return list(listening.values())

            sealed = seal.seal(self.source, self.key, clock.now(), listen, self._see, self.config.newest_wins)
            if sealed is None:
                return []
            self._last = self._at(sealed[0].number, sealed[0].number, sealed[1].digest)
            log.info("sealed batch %d: %d changes", sealed[0].number, sealed[0].rows)
            return [item for name, stream in listening.items() for item in self._finish(name, stream, *sealed)]

    def _open_ahead(self) -> None:
        """Open the roads over which a batch may stream, while nothing is being read here (see ``_streams``)."""
        if not self.waits():
            return
        for destination in self.config.reached:
            with suppress(CdcSyncError):
                self._road(destination)

    def _see(self, session: Session) -> Source:
        self.seen = follow.source(session)
        return self.seen

    def _streams(
        self, sealed: Position, said: Mapping[str, Position], shapes: Sequence[Shape], sections: Sequence[Section]
    ) -> Iterator[tuple[str, Stream]]:
        """Open roads to destinations that are up to date. Asked amid a seal, so it reads nothing here: without WAL, a
        new reader would wait for a commit that waits for the seal's own to end.
        """
        for destination in self.config.reached:
            road = self.roads.get(destination.name)
            if road is None or said.get(destination.name, self._at()) != sealed:
                continue
            try:
                stream = road.stream(sealed, shapes, sections)
            except CdcSyncError as error:
                log.debug("no stream to %s: %s", destination.name, error)
            else:
                if stream is not None:
                    yield destination.name, stream

    def _finish(self, name: str, stream: Stream, header: Header, sealed: Sealed) -> Iterator[Delivered]:
        self.progress.waiting(header.rows)
        if not stream.finish(sealed):
            self.progress.waiting(-header.rows)
        else:
            receipt = self._note(name, self._at(header.number, header.number, sealed.digest))
            self.progress.applied(header.rows)
            self.delivered.add(name)
            yield Delivered(destination=name, receipt=receipt)

    def _at(self, stored: int = 0, applied: int = 0, digest: bytes = b"") -> Position:
        """A position of this node's own chain."""
        return Position(
            origin=self.config.node.name, epoch=self.epoch, stored=stored, applied=applied, digest=bytes(digest)
        )

    def _sealed(self) -> Position:
        """Where a destination is that has applied everything sealed here."""
        if self._last is None:
            with self.source.begin(Mode.READ) as session:
                rows = session.run("outbox_last")
            self._last = self._at(rows[0][0], *rows[0]) if rows else self._at()
        return self._last

    def check(self) -> None:
        """Look at every destination before anything is sealed.

        Raises SchemaMismatch for one that cannot take the rows, and Unreachable where nobody answers at any of them;
        while one answers it gets what is for it, and ``round`` reports the others. A node without changes of its own
        seals nothing, and may have sources to visit where nobody else answers.
        """
        if not self.captures:
            return
        silent: list[Unreachable] = []
        for destination in self.config.reached:
            try:
                self._road(destination)
            except Unreachable as error:
                silent.append(error)
        if silent and len(silent) == len(self.config.reached):
            raise silent[0]

    def _road(self, destination: Destination) -> Transport:
        """The road there, open; it is kept until a round has nothing for it, or it fails."""
        if destination.name not in self.roads:
            road = roads.open_road(self.config, destination, self.source, self.key)
            try:
                if self.captures and destination.name not in self.checked:
                    left_out = road.fit(self._offered(), f"destination {destination.name!r}")
                    self._tell_left_out(destination, left_out)
                    self.checked.add(destination.name)
                if self.captures:
                    road.call(self.config.node.name, self.config.renames)
            except BaseException:
                road.close()
                raise
            self.roads[destination.name] = road
        return self.roads[destination.name]

    def _offered(self) -> Offered:
        return Offered(shapes=tuple(self.shapes.values()), captured=tuple(self.captured), renames=self.config.renames)

    def _leave(self, *destinations: Destination) -> None:
        for destination in destinations:
            if road := self.roads.pop(destination.name, None):
                road.close()

    def _tell_left_out(self, destination: Destination, left_out: Sequence[tuple[str, str]]) -> None:
        """Say once, while the schema stays as it is, which columns the destination does not have."""
        shapes = self.config.renames.named(self.shapes).values()
        told = json.dumps([fingerprint(list(shapes)).hex(), left_out]) if left_out else ""
        with self.source.begin(Mode.READ) as session:
            if dict(session.run("told")).get(destination.name, "") == told:
                return
        for table, column in left_out:
            log.warning(
                "table %s: column %r is not at destination %s; its values stay here. Add the column there, then run "
                "cdc-sync resync %s",
                table,
                column,
                destination.name,
                self.config.renames.origin(table),
            )
        with self.source.begin(Mode.WRITE) as session:
            session.run("told_set", destination=destination.name, said=told)

    def _deliver(self, destination: Destination) -> Position:
        road = self._road(destination)

        def keep(receipt: Position) -> Position:
            return self._keep(destination.name, receipt)

        receipt = keep(road.receipt(self.config.node.name, self.epoch))
        self._announce(receipt)
        return deliver(self.source, road, receipt, keep, self.progress, final=destination.final)

    def _announce(self, receipt: Position) -> None:
        with self.source.begin(Mode.READ) as session:
            self.progress.waiting(session.run("outbox_waiting", number=receipt.applied)[0][1])

    def _keep(self, name: str, receipt: Position) -> Position:
        """Remember a receipt. Raises RejectedBatch, and remembers nothing, where it speaks of another chain."""
        if self._receipts().get(name) == receipt:
            return receipt
        with self.source.begin(Mode.READ) as session:
            receipts.recognise(session, name, receipt)
        return self._note(name, receipt)

    def _note(self, name: str, receipt: Position) -> Position:
        """Remember a receipt of this chain, and let go of what it was the last to wait for."""
        said = {**self._receipts(), name: receipt}
        with self.source.begin(Mode.WRITE) as session, self.source.grouped(session):
            receipts.note(session, name, receipt)
            receipts.let_go(session, receipts.everywhere(self.config.final, said))
        self._kept = said
        return receipt

    def _receipts(self) -> dict[str, Position]:
        if self._kept is None:
            with self.source.begin(Mode.READ) as session:
                self._kept = receipts.known(session, self.config.node.name, self.epoch)
        return self._kept

    def _release(self) -> None:
        """Let go of what was kept for a destination that is not in the file any more."""
        with self.source.begin(Mode.WRITE) as session:
            receipts.let_go(session, receipts.everywhere(self.config.final, self._receipts()))
        self._released = True


def seal_waiting(database: Database, config: Config) -> None:
    """Seal what waits as it was captured, before its change tables are replaced, if it can be."""
    with identity.exclusive(config.key_path), database.exclusive():
        seal.as_captured(database, identity.load(config.key_path), clock.now(), config.newest_wins)
