"""What a node does for others, round after round: it fetches from its sources, delivers what it carries, and brings
receipts home. What goes wrong with one node or one chain keeps nothing else back; it is written down and tried again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import receipts, receive, relay, roads
from cdc_sync.apply import names
from cdc_sync.config import Config, Destination, Source
from cdc_sync.core import chain
from cdc_sync.core import receipts as core
from cdc_sync.core.chain import Position
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode
from cdc_sync.delivery import Delivered, Fetched, Progress, Turns, deliver
from cdc_sync.errors import CdcSyncError, RejectedBatch, Unreachable
from cdc_sync.relay import Carried
from cdc_sync.transports import Chain, Offer, Transport
from cdc_sync.troubles import Troubles

PAUSE = 2.0
"""Seconds between two looks at a source, or for receipts, after something has come."""

LONGEST_PAUSE = 30.0
"""And at most, where nothing has come for long."""

KNOCKING = 16
"""Sources that are asked at the same time whether anybody is there: most of them are out of reach most of the time."""


@dataclass(slots=True)
class Roads:
    """How destinations are reached; the roads are kept by whoever opened them."""

    open: Callable[[Destination], Transport]
    leave: Callable[[Destination], None]


@dataclass(slots=True)
class _Visit:
    """A source that is being visited, and whose chains it offers."""

    offer: Offer
    origins: set[str]


class Carrier:
    """A node's work for others. ``errors`` are those of this round, ``news`` those of them that were not known."""

    def __init__(
        self, database: Database, config: Config, key: Ed25519PrivateKey, roads: Roads, progress: Progress
    ) -> None:
        self.database = database
        self.config = config
        self.key = key
        self.roads = roads
        self.progress = progress
        self.troubles = Troubles(database)
        self.turns = Turns()
        self.errors: list[CdcSyncError] = []
        self.news: list[CdcSyncError] = []
        self._visits: dict[str, _Visit] = {}
        self._said: dict[tuple[str, str], dict[str, Position]] = {}
        self._heard: dict[str, set[tuple[object, ...]]] = {}
        self._refusing: set[str] = set()
        self._changed = config.node.relay

    def begin(self) -> None:
        """A round begins: what went wrong in the last one is told."""
        self.errors, self.news = [], []

    def failed(self, node: str, origin: str, error: CdcSyncError) -> None:
        """Note what went wrong with a node; ``origin`` says whose batches it was about, if not about all."""
        if self.troubles.note(node, origin, error):
            self.news.append(error)
        self.errors.append(error)

    def _well(self, node: str) -> None:
        """Nothing is wrong with a node, unless what it said last was refused."""
        if node not in self._refusing:
            self.troubles.clear(node, "")

    def close(self) -> None:
        """Leave the sources."""
        for visit in self._visits.values():
            visit.offer.close()
        self._visits.clear()

    # --- sources

    def fetch(self) -> list[Fetched]:
        """Fetch what the sources offer; they are left at the end of the round, once receipts are handed over."""
        due = [source for source in self.config.sources if self.turns.due(source)]
        found: list[Fetched] = []
        if due:
            with ThreadPoolExecutor(min(len(due), KNOCKING), "fetch") as pool:
                for source, met in [(source, pool.submit(self._meet, source)) for source in due]:
                    found += self._visited(source, met)
        self._changed |= bool(found)
        return found

    def _meet(self, source: Source) -> Sequence[Chain]:
        """Go to a source and ask what it offers."""
        visit = _Visit(roads.open_offer(self.config, source, self.database, self.key), {source.name})
        self._visits[source.name] = visit
        return visit.offer.offers()

    def _visited(self, source: Source, met: Future[Sequence[Chain]]) -> list[Fetched]:
        found: list[Fetched] = []
        try:
            chains = [offered for offered in met.result() if offered.origin != self.config.node.name]
            visit = self._visits[source.name]
            visit.origins.update(offered.origin for offered in chains)
            for offered in chains:
                found += self._fetch(source, visit.offer, offered)
            self._hear(source.name, visit.offer.receipts())
            self._well(source.name)
        except CdcSyncError as error:
            self.failed(source.name, "", error)
        if found:
            self.turns.at_once(source)
        self.turns.put_off(source, PAUSE, LONGEST_PAUSE)
        return found

    def _fetch(self, source: Source, offer: Offer, offered: Chain) -> list[Fetched]:
        origin, count = offered.origin, 0
        try:
            for number in self._missing(source, offered):
                frame = offer.fetch(origin, offered.epoch, number)
                receive.store(self.database, frame.sealed, frame.parts, source.name, skips=True)
                count += 1
            self.troubles.clear(source.name, origin)
        except RejectedBatch as error:
            self.failed(source.name, origin, error)
        return [Fetched(source=source.name, origin=origin, batches=count)] if count else []

    def _missing(self, source: Source, offered: Chain) -> Iterable[int]:
        """The numbers of batches that are offered and not stored here. Raises RejectedBatch for another chain."""
        here = receive.position(self.database, offered.origin, offered.epoch)
        if here.stored == offered.last and here.digest != offered.digest:
            raise chain.other_batch(source.name, offered.origin, here.stored)
        first = here.stored + 1
        if not self.config.node.apply:
            first = max(first, offered.first)
        return range(first, offered.last + 1)

    def _go_home(self, visits: Mapping[str, _Visit]) -> None:
        """Hand the receipts over that are for the sources."""
        for name, visit in visits.items():
            try:
                self._hand_over(name, visit.origins, visit.offer.bring)
            except CdcSyncError as error:
                self.failed(name, "", error)

    # --- destinations

    def deliver(self) -> list[Delivered]:
        """Bring what is carried to every destination that has not applied it."""
        if not self.config.node.relay:
            return []
        with self.database.begin(Mode.READ) as session:
            chains = relay.carried(session)
        found: list[Delivered] = []
        for destination in self.config.reached:
            wanted = [each for each in chains if self._wanted(destination, each)]
            if wanted and self.turns.due(destination):
                found += self._deliver(destination, wanted)
        return found

    def _wanted(self, destination: Destination, carried: Carried) -> bool:
        here = carried.position
        if not carried.batches or here.origin == destination.name:
            return False
        there = self._known(here).get(destination.name)
        if there is None or there.stored < here.stored:
            return self.turns.due((destination, here.origin, here.epoch))
        return there.applied < here.stored and self.turns.due((destination, here.origin, here.epoch, "applied"))

    def _known(self, of: Position) -> dict[str, Position]:
        if (of.origin, of.epoch) not in self._said:
            with self.database.begin(Mode.READ) as session:
                self._said[of.origin, of.epoch] = receipts.known(session, of.origin, of.epoch)
        return self._said[of.origin, of.epoch]

    def _deliver(self, destination: Destination, wanted: Sequence[Carried]) -> list[Delivered]:
        found: list[Delivered] = []
        for carried in wanted:
            try:
                found += self._deliver_one(destination, carried)
            except RejectedBatch as error:
                self._stuck(destination, carried.position, error)
            except CdcSyncError as error:
                self.roads.leave(destination)
                if isinstance(error, Unreachable):
                    self.failed(destination.name, "", error)
                    self.turns.put_off(destination)
                    break
                self._stuck(destination, carried.position, error)
        else:
            self.turns.at_once(destination)
            self._well(destination.name)
        return found

    def _stuck(self, destination: Destination, here: Position, error: CdcSyncError) -> None:
        self.failed(destination.name, here.origin, error)
        self.turns.put_off((destination, here.origin, here.epoch))

    def _deliver_one(self, destination: Destination, carried: Carried) -> list[Delivered]:
        here = carried.position
        before, receipt = self._known(here).get(destination.name), self._delivered(destination, carried)
        self.troubles.clear(destination.name, here.origin)
        self.turns.at_once((destination, here.origin, here.epoch))
        if receipt != before:
            self.turns.at_once((destination, here.origin, here.epoch, "applied"))
            self.turns.at_once((destination, "receipts"))
        self.turns.put_off((destination, here.origin, here.epoch, "applied"))
        return [Delivered(destination=destination.name, receipt=receipt)] if receipt != before else []

    def _delivered(self, destination: Destination, carried: Carried) -> Position:
        here, road = carried.position, self.roads.open(destination)
        if destination in self.config.databases:
            with self.database.begin(Mode.READ) as session:
                called = names.of(session, here.origin)
            road.call(here.origin, called)

        def keep(receipt: Position) -> Position:
            return self._keep(destination.name, receipt)

        receipt = keep(road.receipt(here.origin, here.epoch))
        self.progress.waiting(carried.rows)
        return deliver(self.database, road, receipt, keep, self.progress, final=destination.final)

    def _keep(self, name: str, receipt: Position) -> Position:
        """Remember a receipt. Raises RejectedBatch, and remembers nothing, where it speaks of another chain."""
        said = self._known(receipt)
        if said.get(name) != receipt:
            with self.database.begin(Mode.WRITE) as session:
                receipts.recognise(session, name, receipt)
                receipts.note(session, name, receipt)
            said[name] = receipt
            self._changed = True
        return receipt

    # --- receipts

    def tidings(self, *, awaited: bool) -> bool:
        """Bring receipts to and from the others, and let go of what they were the last to speak of.

        ``awaited``: this node's own chain is not applied everywhere. Returns whether anything was learnt.
        """
        if self.config.node.relay or self.config.sources:
            receipts.publish(self.database, self.key, self.config.node.name)
        if self.config.node.relay:
            with self.database.begin(Mode.READ) as session:
                awaited |= bool(relay.carried(session))
        for destination in self.config.reached:
            looked_at = awaited or destination.scheme == roads.FILE
            if looked_at and self.turns.due((destination, "receipts")) and self.turns.due(destination):
                self._exchange(destination)
        try:
            self._go_home(self._visits)
        finally:
            self.close()
        learnt = self._changed
        if learnt or (self.config.node.relay and self.turns.due("settle")):
            self._settle()
        return learnt

    def _settle(self) -> None:
        with self.database.begin(Mode.WRITE) as session:
            receipts.settle(session, self.config)
        self._changed = False
        self.turns.put_off("settle", PAUSE, LONGEST_PAUSE)

    def _exchange(self, destination: Destination) -> None:
        try:
            road = self.roads.open(destination)
            if self._hear(destination.name, road.receipts()):
                self.turns.at_once((destination, "receipts"))
            self._hand_over(destination.name, {destination.name}, road.bring)
            self._well(destination.name)
        except CdcSyncError as error:
            self.roads.leave(destination)
            self.failed(destination.name, "", error)
        self.turns.put_off((destination, "receipts"), PAUSE, LONGEST_PAUSE)

    def _hear(self, name: str, signed: Sequence[Signed]) -> bool:
        """Take the receipts that lie at another node, if any says what it did not say before."""
        said = {_what(each) for each in signed}
        if said == self._heard.get(name, set()):
            return False
        with self.database.begin(Mode.WRITE) as session:
            refused = receipts.bring(session, signed)
        self._refusing.discard(name)
        for error in refused:
            self.failed(name, "", error)
            self._refusing.add(name)
        self._heard[name] = said
        self._said.clear()
        self._changed = True
        return True

    def _hand_over(self, name: str, origins: set[str], bring: Callable[[Sequence[Signed]], None]) -> None:
        """Give another node the receipts about these origins' chains, where there is one that it was not given yet."""
        with self.database.begin(Mode.READ) as session:
            signed = [each for origin in sorted(origins) for each in receipts.carried(session, origin)]
        said, key = {_what(each) for each in signed}, f"to {name}"
        if said != self._heard.get(key, set()):
            bring(signed)
            self._heard[key] = said


def _what(signed: Signed) -> tuple[object, ...]:
    """What a receipt says, whenever it was given; one that cannot be read says its bytes."""
    try:
        receipt = core.read(signed)
    except CdcSyncError:
        return (signed.data,)
    return (receipt.giver, receipt.origin, receipt.epoch, receipt.stored, receipt.applied, receipt.applied_digest)
