"""Batches that are held here for others: this node's own, and those that it carries; read one by one, part by part."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from cdc_sync import peers
from cdc_sync.core import chain
from cdc_sync.core.wire import Header, Sealed, decode_header
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import CdcSyncError, batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A batch with all of its parts, which are read as they are asked for."""

    sealed: Sealed
    header: Header
    own: bool
    database: Database = field(repr=False)

    @property
    def number(self) -> int:
        return self.header.number

    def parts(self) -> Iterator[bytes]:
        """The parts in order, each read in a transaction of its own.

        Raises CdcSyncError where the batch was let go meanwhile: then it is applied everywhere.
        """
        place: dict[str, object] = {"number": self.header.number}
        if not self.own:
            place |= {"origin": self.header.node, "epoch": self.header.epoch}
        for part in range(len(self.header.parts)):
            with self.database.begin(Mode.READ) as session:
                rows = session.run("outbox_part" if self.own else "inbox_part", **place, part=part)
            if not rows:
                raise _gone(self.header.node, self.header.number, self.header.number)
            yield bytes(rows[0][0])


def after(database: Database, origin: str, epoch: str, number: int) -> Iterator[Held]:
    """The batches of a chain that follow this number, in order, as long as they are held.

    Raises CdcSyncError where the next one is not held any more, but later ones are, or were: who asks lost it.
    """
    while (found := following(database, origin, epoch, number)) is not None:
        if found.number != number + 1:
            raise _gone(origin, number + 1, found.number - 1)
        yield found
        number = found.number


def following(database: Database, origin: str, epoch: str, number: int) -> Held | None:
    """The oldest batch of a chain that is held and comes after this number; the last one where nothing is missing."""
    with database.begin(Mode.READ) as session:
        public_key = _own_key(session, origin, epoch)
        own = bool(public_key)
        if own:
            rows = session.run("outbox_next", number=number)
        else:
            rows = session.run("inbox_next", origin=origin, epoch=epoch, number=number)
            peer = peers.find(session, origin)
            public_key = peer.public_key if peer else b""
        newest = session.run("outbox_last") if own else session.run("given", origin=origin, epoch=epoch)
    if not rows:
        if newest and newest[0][0] > number:
            raise _gone(origin, number + 1, newest[0][0])
        return None
    _, header, signature = rows[0]
    sealed = Sealed(header=bytes(header), signature=bytes(signature), public_key=public_key)
    return Held(sealed=sealed, header=decode_header(sealed.header), own=own, database=database)


def first(database: Database, origin: str, epoch: str) -> int | None:
    """The number of the oldest batch of a chain that is held; None where none is."""
    with database.begin(Mode.READ) as session:
        if _own_key(session, origin, epoch):
            rows = session.run("outbox_next", number=0)
        else:
            rows = session.run("inbox_next", origin=origin, epoch=epoch, number=0)
    return rows[0][0] if rows else None


def _own_key(session: Session, origin: str, epoch: str) -> bytes:
    """This node's public key where the chain is its own; nothing otherwise."""
    return next((bytes(key) for name, own, key in session.run("node") if (name, own) == (origin, epoch)), b"")


def _gone(origin: str, first: int, last: int) -> CdcSyncError:
    return CdcSyncError(
        f"{batches(first, last)} of node {origin!r}: gone here and missing there: the server lost them",
        hint=chain.NEW_CHAIN,
    )
