"""What a node holds for others and how it stands with each chain: its own, and those that it carries as a relay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import held, peers, receipts, receive, registry
from cdc_sync.config import Config
from cdc_sync.core.chain import Position
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import Forbidden, RejectedBatch
from cdc_sync.registry import Role
from cdc_sync.transports import Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Another node's chain as it stands here: how far it has come, and which of its batches are held.

    ``batches``, ``rows``: how many; ``first``: the number of the oldest, 0 where none is held.
    """

    position: Position
    batches: int
    rows: int
    first: int


def prepare(database: Database, config: Config) -> None:
    """Make what is ours where it is not there yet, and have the database know what this node does with others' batches.

    Whoever stores or applies here keeps to that, also who comes by a connection to the database.
    """
    receive.prepare(database)
    wanted = Role(relays=config.node.relay, applies=config.node.apply)
    with database.begin(Mode.READ) as session:
        if registry.role(session) == wanted:
            return
    with database.begin(Mode.WRITE) as session:
        session.run("role_set", relays=wanted.relays, applies=wanted.applies)
        if not wanted.relays:
            for origin, epoch, _, applied, *_ in session.run("carried"):
                session.run("inbox_release", origin=origin, epoch=epoch, number=applied)


def carried(session: Session) -> list[Carried]:
    """Every chain of another node that has come here."""
    own = {(name, epoch) for name, epoch, _ in session.run("node")}
    return [
        Carried(
            position=Position(origin=origin, epoch=epoch, stored=stored, applied=applied, digest=bytes(digest)),
            batches=batches,
            rows=int(rows),
            first=first,
        )
        for origin, epoch, stored, applied, digest, batches, rows, first in session.run("carried")
        if stored and (origin, epoch) not in own
    ]


class Offering:
    """What this node offers to one that fetches from it. ``who`` was authenticated by whoever calls.

    Raises Forbidden for a node that is neither a relay here nor one of this node's destinations.
    """

    def __init__(self, database: Database, config: Config, key: Ed25519PrivateKey, who: str) -> None:
        self.database = database
        self.config = config
        self.key = key
        self.who = who
        with database.begin(Mode.READ) as session:
            peer = peers.enrolled(session, who)
        if not peer.relay and who not in {destination.name for destination in config.destinations}:
            raise Forbidden(
                f"node {who!r} may not fetch batches here",
                hint=f"at this node: cdc-sync enroll {who} --relay --key ...; or name it in [[destinations]]",
            )

    def close(self) -> None:
        """There is nothing to close: the database is the caller's."""

    def offers(self) -> list[Chain]:
        """This node's own chain, and at a relay those that it carries; not those of the one that asks."""
        with self.database.begin(Mode.READ) as session:
            found = [*_own(session), *(_chain(each) for each in self._carried(session))]
        return [chain for chain in found if chain.origin != self.who]

    def _carried(self, session: Session) -> list[Carried]:
        return carried(session) if self.config.node.relay else []

    def fetch(self, origin: str, epoch: str, number: int) -> Frame:
        """A batch. Raises RejectedBatch for one that is not held here."""
        if (origin, epoch) not in {(chain.origin, chain.epoch) for chain in self.offers()}:
            raise RejectedBatch(f"no batches of node {origin!r} are offered here", hint="ask for what is offered")
        batch = held.following(self.database, origin, epoch, number - 1)
        if batch is None or batch.number != number:
            raise RejectedBatch(f"batch {number} of node {origin!r} is not held here", hint="ask for what is offered")
        return Frame(sealed=batch.sealed, header=batch.header, parts=batch.parts())

    def receipts(self) -> list[Signed]:
        """This node's own receipts for every chain that has come here, and those of others."""
        with self.database.begin(Mode.READ) as session:
            at = [(row[0], row[1]) for row in session.run("positions") if row[2]]
            given = [receipts.give(session, self.key, self.config.node.name, *chain) for chain in at]
            return [*given, *(each for each in receipts.carried(session) if each not in given)]

    def bring(self, signed: Sequence[Signed]) -> None:
        """Take the receipts that the other one brings. Raises the first refusal, after all had their turn."""
        with self.database.begin(Mode.WRITE) as session:
            refused = receipts.bring(session, signed)
            receipts.settle(session, self.config)
        if refused:
            raise refused[0]


def _own(session: Session) -> Iterator[Chain]:
    for name, epoch, _ in session.run("node"):
        for number, digest in session.run("outbox_last"):
            first = session.run("outbox_next", number=0)
            yield Chain(
                origin=name,
                epoch=epoch,
                first=first[0][0] if first else number + 1,
                last=number,
                digest=bytes(digest),
            )


def _chain(of: Carried) -> Chain:
    at = of.position
    first = of.first or at.stored + 1
    return Chain(origin=at.origin, epoch=at.epoch, first=first, last=at.stored, digest=at.digest)
