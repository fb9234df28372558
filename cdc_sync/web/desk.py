"""What a request is about, done in the node's database: blocking, for the threads of the server."""

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import peers, receipts, receive
from cdc_sync.apply import names
from cdc_sync.apply.origins import persistently
from cdc_sync.config import Config
from cdc_sync.core import device, frames, talk, wire
from cdc_sync.core import peers as known
from cdc_sync.core import receipts as core
from cdc_sync.core.chain import Position, Verdict
from cdc_sync.core.limits import Limits
from cdc_sync.core.peers import Application, Peer
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import Forbidden, RejectedBatch
from cdc_sync.inbox import DatabaseInbox
from cdc_sync.relay import Offering
from cdc_sync.transports import Chain, Offered
from cdc_sync.web.answers import Elsewhere, refusal
from cdc_sync.web.sessions import Who

Place = tuple[str, str, int]
"""An origin, an epoch, and the number of a batch."""


class Desk:
    """The node behind the server."""

    def __init__(self, config: Config, database: Database, key: Ed25519PrivateKey) -> None:
        self.config = config
        self.database = database
        self.key = key
        self.name = config.node.name
        self.limits = Limits(batch=config.serve.largest_batch)
        self._turn = threading.Lock()

    @property
    def public_key(self) -> bytes:
        return device.public_of(self.key)

    def writing(self) -> AbstractContextManager[object]:
        """A turn at a database that takes one writer at a time: waiting here is fair, and needs no clock."""
        return nullcontext() if self.database.many_writers else self._turn

    def peer(self, who: Who) -> Peer:
        """Who it is, as it is known in this moment. Raises Forbidden for who is not enrolled, or not any more."""
        with self.database.begin(Mode.READ) as session:
            peer = peers.enrolled(session, who.node)
        known.check_same(peer, who.public_key)
        return peer

    @property
    def streams(self) -> bool:
        """Whether batches are taken while they are sealed: where they are applied and not kept for others."""
        return self.database.stages_ahead and not self.config.node.relay

    def ready(self) -> None:
        """Raises what the database says where it does not answer."""
        with self.database.begin(Mode.READ) as session:
            session.run("exists")

    def rest(self) -> None:
        """Once nothing is left to do: have ready what others read over a connection to this database."""
        with self.writing():
            receipts.publish(self.database, self.key, self.name)

    def enrol(self, application: Application) -> talk.Enrolled:
        with self.writing():
            peers.redeem(self.database, self.key, application)
        signature = known.confirm(self.key, self.name, application)
        return talk.Enrolled(node=self.name, public_key=self.public_key, signature=signature)

    def store(self, who: Who, place: Place, file: IO[bytes], size: int) -> str:
        """Store a batch that stands in a file. Raises RejectedBatch where it is none, or not the one of this place."""
        frame = self._frame(file)
        header = frame.header
        if (header.node, header.epoch, header.number) != place:
            raise RejectedBatch("the batch is another one than its address says", hint=wire.AGAIN)
        if frames.size(frame.sealed, header) != size:
            raise RejectedBatch("the batch is not as long as its header says", hint=wire.AGAIN)

        def store() -> Verdict:
            again = self._frame(file)
            return receive.store(self.database, again.sealed, again.parts, who.node, self.limits)

        with self.writing():
            verdict = persistently(store, self.database)
        if verdict is Verdict.GAP:
            raise Elsewhere(
                f"batch {header.number} of node {header.node!r} came before the ones that it follows",
                hint="ask for the positions again, and send what is missing first",
            )
        return "stored" if verdict is Verdict.STORE else "known"

    def _frame(self, file: IO[bytes]) -> frames.Frame:
        file.seek(0)
        return frames.read_one(file.read, self.limits)

    def fetch(self, who: Who, place: Place) -> frames.Frame:
        """A batch to be fetched. Raises Forbidden, and RejectedBatch for one that is not held here."""
        self.peer(who)
        return self._offering(who).fetch(*place)

    def positions(self, who: Who) -> talk.Positions:
        """What is stored here, and what can be fetched here, of all that this node may see."""
        peer = self.peer(who)
        with self.database.begin(Mode.READ) as session:
            stored = [
                Position(origin=origin, epoch=epoch, stored=stored, applied=applied, digest=bytes(digest))
                for origin, epoch, stored, applied, digest in session.run("positions")
                if self._may_see(peer, origin)
            ]
        offers = self._offering(who).offers() if self._sees_all(peer) else []
        return talk.Positions(stored=tuple(stored), held=tuple(map(_held, offers)))

    def _offering(self, who: Who) -> Offering:
        return Offering(self.database, self.config, self.key, who.node)

    def receipts(self, who: Who, origin: str, epoch: str) -> talk.Receipts:
        """Signed receipts: for one chain, or (where ``origin`` is empty) for all that this node may see."""
        peer = self.peer(who)
        if origin:
            self._check_may_see(peer, origin)
        with self.database.begin(Mode.READ) as session:
            chains = [(origin, epoch)] if origin else [row[:2] for row in session.run("positions")]
            chains = [chain for chain in chains if self._may_see(peer, chain[0])]
            given = [receipts.give(session, self.key, self.name, *chain) for chain in chains]
            others = receipts.carried(session, origin or ("" if self._sees_all(peer) else peer.name))
            others = [signed for signed in others if core.read(signed).giver != self.name]
            aside = session.run("letters_waiting", origin=origin, epoch=epoch) if origin else []
        return talk.Receipts(receipts=(*given, *others), aside={str(state): int(count) for state, count in aside})

    def take(self, who: Who, brought: tuple[Signed, ...]) -> talk.Taken:
        """Receipts that somebody carried here. One that cannot be believed does not keep the others back."""
        self.peer(who)
        with self.writing(), self.database.begin(Mode.WRITE) as session:
            refused = receipts.bring(session, brought)
            receipts.settle(session, self.config)
        return talk.Taken(refused=tuple(map(refusal, refused)))

    def digest(self, who: Who, place: Place) -> talk.Digest:
        origin, epoch, number = place
        self._check_may_see(self.peer(who), origin)
        with self.database.begin(Mode.READ) as session:
            rows = session.run("inbox_digest", origin=origin, epoch=epoch, number=number)
        return talk.Digest(digest=bytes(rows[0][0]) if rows else b"")

    def fit(self, who: Who, offer: talk.Offer) -> talk.Fit:
        """Raises SchemaMismatch where the tables here do not take what a node offers. A carrier takes everything."""
        self.peer(who)
        if not self.config.node.apply:
            return talk.Fit()
        offered = Offered(shapes=offer.shapes, captured=offer.captured, renames=Renames(offer.renames))
        where = "the database there"
        left_out = DatabaseInbox(self.database, self.config.policies).fit(offered, where)
        return talk.Fit(left_out=tuple(talk.Lacking(table=table, column=column) for table, column in left_out))

    def call(self, who: Who, renames: Renames) -> None:
        """Call a node's tables and columns so from now on.

        Raises Forbidden where what waits would then go where the node may not write.
        """
        peer = self.peer(who)
        with self.database.begin(Mode.READ) as session:
            if names.of(session, peer.name) == renames:
                return
        with self.writing(), self.database.begin(Mode.WRITE) as session:
            names.check_change(session, peer, renames)
            names.change(session, peer.name, renames)

    def _check_may_see(self, peer: Peer, origin: str) -> None:
        if not self._may_see(peer, origin):
            raise Forbidden(
                f"node {peer.name!r} may not see what there is of node {origin!r}",
                hint=f"at this node: cdc-sync enroll {peer.name} --relay --key ... allows it",
            )

    def _may_see(self, peer: Peer, origin: str) -> bool:
        return peer.name == origin or self._sees_all(peer)

    def _sees_all(self, peer: Peer) -> bool:
        return peer.relay or peer.name in self._goals

    @property
    def _goals(self) -> set[str]:
        return {destination.name for destination in self.config.destinations}


def _held(chain: Chain) -> talk.Held:
    return talk.Held(origin=chain.origin, epoch=chain.epoch, first=chain.first, last=chain.last, digest=chain.digest)
