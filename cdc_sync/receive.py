"""The fourth room: batches that arrive are verified and stored in the inbox, once, in their origin's order."""

from collections.abc import Iterable
from dataclasses import replace

from cdc_sync import peers
from cdc_sync.core import chain, limits, renames, wire
from cdc_sync.core.chain import Position, Verdict
from cdc_sync.core.limits import Limits
from cdc_sync.core.peers import check_grants
from cdc_sync.core.wire import Header, Sealed
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import RejectedBatch
from cdc_sync.registry import Role, is_installed, role


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


def store(
    database: Database,
    sealed: Sealed,
    parts: Iterable[bytes],
    carrier: str | None = None,
    carried: Limits = limits.CARRIED,
    *,
    skips: bool = False,
) -> Verdict:
    """Store a batch unless it is known already, or comes before one that is still missing.

    ``carrier`` is the authenticated node that brings it, its origin or a relay; None for a connection to this database.
    ``carried`` limits what a carrier brings. ``skips``: batches in between will not come, as in ``admit``.
    Raises RejectedBatch, and stores nothing, for a batch that is damaged, forged or forks its chain; Forbidden for one
    whose origin or carrier may not do that; TooLarge.
    """
    limit = limits.DIRECT if carrier is None else carried
    with database.begin(Mode.WRITE) as session:
        verdict, header = admit(session, sealed, carrier, limit, skips=skips)
        if verdict is Verdict.STORE:
            enter(session, header, sealed)
            _store_parts(session, header, parts, None if carrier is None else limit)
        return verdict


def admit(
    session: Session,
    sealed: Sealed,
    carrier: str | None = None,
    limit: Limits = limits.DIRECT,
    *,
    skips: bool = False,
) -> tuple[Verdict, Header]:
    """Verify a batch and find its place in its origin's chain. Raises what ``store`` does.

    A relay that applies nothing does without batches that are applied everywhere already, and so are not brought here:
    what its origin sends follows whatever is stored, and so does what comes with ``skips``.
    """
    limits.check_encoded(limit, len(sealed.header))
    header = wire.decode_header(sealed.header)
    limits.check(limit, header)
    origin = peers.admitted(session, header.node, sealed.public_key, carrier)
    chain.verify(sealed, header.node, origin.public_key)
    if origin.grants is not None:
        session.run("peer_lock", name=origin.name)
    check_grants(origin, renames.decode(_renamed(session, header.node)).header(header))
    here = locked_position(session, header.node, header.epoch)
    if header.number > here.stored + 1 and (skips or carrier in (None, header.node)) and _only_passes_on(session):
        here = replace(here, stored=header.number - 1, digest=header.previous)
    known = session.run("inbox_digest", origin=header.node, epoch=header.epoch, number=header.number)
    return chain.judge(here, header, sealed.digest, bytes(known[0][0]) if known else None), header


def _only_passes_on(session: Session) -> bool:
    return role(session) == Role(relays=True, applies=False)


def _renamed(session: Session, origin: str) -> str | None:
    rows = session.run("renamed", origin=origin)
    return str(rows[0][0]) if rows else None


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


def _store_parts(session: Session, header: Header, parts: Iterable[bytes], limit: Limits | None) -> None:
    place = {"origin": header.node, "epoch": header.epoch, "number": header.number}
    count = 0
    for part, data in zip(header.parts, parts, strict=False):
        wire.check_part(part, data)
        if limit is not None:
            wire.check_unpacked(data, limit.unpacked)
        session.run("inbox_part_add", **place, part=count, data=data)
        count += 1
    if count < len(header.parts):
        raise RejectedBatch("a batch arrived without all of its parts", hint=wire.AGAIN)
