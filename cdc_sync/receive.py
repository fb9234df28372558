"""The fourth room: batches that arrive are verified and stored in the inbox, once, in their origin's order."""

from collections.abc import Iterable

from cdc_sync.core import chain, wire
from cdc_sync.core.chain import Position, Verdict
from cdc_sync.core.wire import Header, Sealed
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import RejectedBatch
from cdc_sync.registry import is_installed


def prepare(database: Database) -> None:
    """Make the inbox, where it is not there yet."""
    with database.begin(Mode.READ) as session:
        if is_installed(session):
            return
    with database.begin(Mode.WRITE) as session:
        session.run("install")


def position(database: Database, origin: str, epoch: str) -> Position:
    """How far the origin's chain has come here."""
    with database.begin(Mode.WRITE) as session:
        return locked_position(session, origin, epoch)


def locked_position(session: Session, origin: str, epoch: str) -> Position:
    """The origin's position, kept from others until the transaction ends."""
    rows = session.run("position", origin=origin, epoch=epoch)
    if not rows:
        session.run("position_add", origin=origin, epoch=epoch)
        rows = session.run("position", origin=origin, epoch=epoch)
    stored, applied, digest = rows[0]
    return Position(origin=origin, epoch=epoch, stored=stored, applied=applied, digest=bytes(digest))


def store(database: Database, sealed: Sealed, parts: Iterable[bytes]) -> Verdict:
    """Store a batch unless it is known already, or comes before one that is still missing.

    Raises RejectedBatch, and stores nothing, for a batch that is damaged, forged or forks its chain.
    """
    with database.begin(Mode.WRITE) as session:
        verdict, header = admit(session, sealed)
        if verdict is Verdict.STORE:
            enter(session, header, sealed)
            _store_parts(session, header, parts)
        return verdict


def admit(session: Session, sealed: Sealed) -> tuple[Verdict, Header]:
    """Verify a batch and find its place in its origin's chain. Raises RejectedBatch as ``store`` does."""
    header = wire.decode_header(sealed.header)
    chain.verify(sealed, header.node, _registered_key(session, header, sealed))
    here = locked_position(session, header.node, header.epoch)
    known = session.run("inbox_digest", origin=header.node, epoch=header.epoch, number=header.number)
    return chain.judge(here, header, sealed.digest, bytes(known[0][0]) if known else None), header


def _registered_key(session: Session, header: Header, sealed: Sealed) -> bytes:
    """Who comes over a database connection was let in by the database: a new node's key is taken as it is."""
    session.run("peer_add", name=header.node, public_key=sealed.public_key)
    return bytes(session.run("peer", name=header.node)[0][0])


def enter(session: Session, header: Header, sealed: Sealed) -> None:
    """Note a batch as stored; its parts are the caller's to store, or to write at once."""
    place = {"origin": header.node, "epoch": header.epoch}
    session.run(
        "inbox_add",
        **place,
        number=header.number,
        header=sealed.header,
        signature=sealed.signature,
        digest=sealed.digest,
        rows=header.rows,
    )
    session.run("position_stored", **place, stored=header.number, digest=sealed.digest)


def _store_parts(session: Session, header: Header, parts: Iterable[bytes]) -> None:
    place = {"origin": header.node, "epoch": header.epoch, "number": header.number}
    count = 0
    for part, data in zip(header.parts, parts, strict=False):
        wire.check_part(part, data)
        session.run("inbox_part_add", **place, part=count, data=data)
        count += 1
    if count < len(header.parts):
        raise RejectedBatch("a batch arrived without all of its parts", hint="have the batch sent again")
