"""What every node said of a chain, this node's own or one that it carries: kept, given, taken, and acted on."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import clock, peers, registry
from cdc_sync.config import Config, Destination
from cdc_sync.core import chain, device
from cdc_sync.core import receipts as core
from cdc_sync.core.chain import Position
from cdc_sync.core.receipts import Applied, Receipt, Signed
from cdc_sync.core.wire import decode_header
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import CdcSyncError, ConfigError, RejectedBatch, RejectedReceipt


class Taken(StrEnum):
    """What a receipt that arrived says, beside what was known."""

    NEWER = "newer"
    KNOWN = "known"
    OLDER = "older"
    """Either it was long on its way, or its giver has forgotten something: only who asked the giver itself can tell."""


def known(session: Session, origin: str, epoch: str) -> dict[str, Position]:
    """What each node said last of a chain, by its name."""
    return {
        giver: Position(origin=origin, epoch=epoch, stored=stored, applied=applied, digest=bytes(digest))
        for giver, stored, applied, digest in session.run("receipts", origin=origin, epoch=epoch)
    }


def note(session: Session, giver: str, position: Position) -> None:
    """Keep what was read in the giver's own database, whatever was known before."""
    session.run("receipt_set", **_place(giver, position), data=None, signature=None)


def give(session: Session, key: Ed25519PrivateKey, node: str, origin: str, epoch: str) -> Signed:
    """This node's receipt for a chain, as it stands in this moment; ``node`` is this node's name."""
    stored, applied, digest, applied_digest = 0, 0, b"", b""
    for row in session.run("given", origin=origin, epoch=epoch):
        stored, applied, digest, applied_digest = *row[:2], bytes(row[2]), bytes(row[3] or b"")
    return core.sign(
        Receipt(
            version=core.VERSION,
            giver=node,
            origin=origin,
            epoch=epoch,
            stored=stored,
            applied=applied,
            digest=digest,
            applied_digest=applied_digest,
            given_at=clock.now(),
        ),
        key,
    )


def carried(session: Session, origin: str = "") -> list[Signed]:
    """The signed receipts of others, of one origin's chains or of all: to pass on as they are."""
    return [
        Signed(data=bytes(data), signature=bytes(signature), public_key=bytes(public_key))
        for about, data, signature, public_key in session.run("receipts_signed")
        if origin in ("", about)
    ]


def take(session: Session, signed: Signed) -> Taken:
    """Keep a receipt that somebody brought, unless it is older than what is known.

    Raises RejectedReceipt, and keeps nothing, where its giver is not known here or did not sign it, and RejectedBatch
    where it speaks of another chain than this node has: then one of the two was restored from a copy.
    """
    receipt = core.read(signed)
    giver = peers.find(session, receipt.giver)
    if giver is None or giver.revoked_at:
        raise RejectedReceipt(
            f"a receipt comes from {receipt.giver!r}, which is not known here",
            hint="name it in [[destinations]] with its key, or enrol at it",
        )
    core.verify(signed, giver.public_key)
    recognise(session, receipt.giver, receipt.position)
    _check_applied(session, receipt)
    before = known(session, receipt.origin, receipt.epoch).get(receipt.giver)
    if before is not None and (receipt.stored, receipt.applied) == (before.stored, before.applied):
        if before.digest == receipt.digest:
            session.run("receipt_take", **_place(receipt.giver, receipt.position), **_signed(signed))
        return Taken.KNOWN
    if before is not None and (receipt.stored < before.stored or receipt.applied < before.applied):
        return Taken.OLDER
    session.run("receipt_take", **_place(receipt.giver, receipt.position), **_signed(signed))
    return Taken.NEWER


def bring(session: Session, signed: Iterable[Signed]) -> list[CdcSyncError]:
    """Take the receipts that somebody brings; those of givers that are not known here a relay keeps for others.

    Returns why some were refused. One about a chain of which nothing is known here is passed over. ``settle`` is the
    caller's to do, where the node's file is known.
    """
    refused: list[CdcSyncError] = []
    for each in signed:
        try:
            _bring(session, each)
        except (RejectedReceipt, RejectedBatch) as error:
            refused.append(error)
    return refused


def _bring(session: Session, signed: Signed) -> None:
    receipt = core.read(signed)
    own = any((receipt.origin, receipt.epoch) == (name, epoch) for name, epoch, _ in session.run("node"))
    if not own and not session.run("given", origin=receipt.origin, epoch=receipt.epoch):
        return
    if peers.find(session, receipt.giver) is not None:
        take(session, signed)
    elif not own and registry.role(session).relays:
        core.verify(signed, signed.public_key)
        _pass_on(session, receipt, signed)


PASSED = 8
"""Receipts of one chain by unknown givers that are kept to hand on: nobody can fill the table with inventions."""


def _pass_on(session: Session, receipt: Receipt, signed: Signed) -> None:
    kept = {(giver, bytes(key)) for giver, key in session.run("passing", origin=receipt.origin, epoch=receipt.epoch)}
    if (receipt.giver, signed.public_key) in kept or len(kept) < PASSED:
        _keep_signed(session, receipt, signed)


def _keep_signed(session: Session, receipt: Receipt, signed: Signed) -> None:
    session.run(
        "receipt_pass",
        giver=receipt.giver,
        public_key=signed.public_key,
        origin=receipt.origin,
        epoch=receipt.epoch,
        stored=receipt.stored,
        applied=receipt.applied,
        **_signed(signed),
    )


def publish(database: Database, key: Ed25519PrivateKey, node: str) -> None:
    """Sign how far every chain has come here, where that is news, for whoever reads it over a database connection."""
    asked = {"node": node, "public_key": device.public_of(key)}
    with database.begin(Mode.READ) as session:
        news = session.run("unsigned", **asked)
    if not news:
        return
    with database.begin(Mode.WRITE) as session:
        for origin, epoch in news:
            signed = give(session, key, node, origin, epoch)
            _keep_signed(session, core.read(signed), signed)


def recognise(session: Session, giver: str, position: Position) -> None:
    """Raises RejectedBatch where somebody's position in a chain is none in that chain as it is known here."""
    name, epoch, _ = (session.run("node") or [("", "", b"")])[0]
    if (position.origin, position.epoch) == (name, epoch):
        rows = session.run("outbox_from", number=position.stored)
        held = (decode_header(bytes(rows[0][0])), bytes(rows[0][1])) if rows else None
        chain.recognise(giver, position, held)
        return
    number, digest = position.stored, position.digest
    rows = session.run("inbox_digest", origin=position.origin, epoch=position.epoch, number=number)
    if rows and bytes(rows[0][0]) != digest:
        raise chain.other_batch(giver, position.origin, number)


def _check_applied(session: Session, receipt: Receipt) -> None:
    """Raises RejectedBatch where another batch is applied there than the one of that number here."""
    name, epoch, _ = (session.run("node") or [("", "", b"")])[0]
    if (receipt.origin, receipt.epoch) == (name, epoch):
        digest = own_digest(session, receipt.applied)
    else:
        rows = session.run("inbox_digest", origin=receipt.origin, epoch=receipt.epoch, number=receipt.applied)
        digest = bytes(rows[0][0]) if rows else None
    if digest not in (None, receipt.applied_digest):
        raise chain.other_batch(receipt.giver, receipt.origin, receipt.applied)


def own_digest(session: Session, number: int) -> bytes | None:
    """The digest of this node's own batch of a number, where it is still known."""
    rows = session.run("outbox_from", number=number)
    if not rows:
        return None
    header = decode_header(bytes(rows[0][0]))
    return {header.number: bytes(rows[0][1]), header.number - 1: header.previous}.get(number)


def everywhere(final: Iterable[Destination], said: Mapping[str, Position]) -> int:
    """The batch up to which every final destination has applied a chain; 0 where one has said nothing."""
    return min((said[d.name].applied if d.name in said else 0 for d in final), default=0)


def let_go(session: Session, applied: int) -> None:
    """Let go of this node's own batches that are applied everywhere; of none before (DESIGN.md, decision 16)."""
    if applied:
        session.run("outbox_part_release", number=applied)
        session.run("outbox_release", number=applied)


def settle(session: Session, config: Config) -> None:
    """After receipts were taken: let go of what they were the last to speak of."""
    for name, epoch, _ in session.run("node"):
        let_go(session, everywhere(config.final, known(session, name, epoch)))
    if config.node.relay:
        for origin, epoch, _, applied, _, count, _, first in session.run("carried"):
            if count and (upto := _done_with(session, config, origin, epoch, applied)) >= first:
                session.run("inbox_release", origin=origin, epoch=epoch, number=upto)


def _done_with(session: Session, config: Config, origin: str, epoch: str, applied: int) -> int:
    """The batch of a carried chain up to which nobody needs it from here; nothing is carried to its own origin."""
    final, said = [d for d in config.final if d.name != origin], known(session, origin, epoch)
    here = [applied] if config.node.apply else []
    return min([*here, *([everywhere(final, said)] if final else [])], default=0)


def codes(session: Session, key: Ed25519PrivateKey, node: str, origin: str) -> list[tuple[int, str]]:
    """Receipts for an origin, to be read over the telephone: one for each of its chains, with the batch's number.

    Raises ConfigError for a node that is not known here.
    """
    peer = peers.find(session, origin)
    if peer is None:
        raise ConfigError(f"no node {origin!r} is known here", hint=peers.LIST)
    secret, found = device.shared_secret(key, peer.public_key), []
    for name, epoch, _, applied, _ in session.run("positions"):
        if name == origin and applied:
            digest = bytes(session.run("given", origin=origin, epoch=epoch)[0][3])
            said = Applied(giver=node, origin=origin, epoch=epoch, number=applied, digest=digest)
            found.append((applied, core.code(secret, said)))
    return found


def hear(database: Database, config: Config, key: Ed25519PrivateKey, text: str) -> tuple[str, int]:
    """Keep what a receipt code says; returns the destination that gave it, and the batch that is applied there.

    Raises RejectedReceipt, and keeps nothing, for a code that fits no destination.
    """
    number, proof = core.read_code(text)
    with database.begin(Mode.WRITE) as session:
        name, epoch, _ = (session.run("node") or [(config.node.name, "", b"")])[0]
        digest = own_digest(session, number) if number else None
        if digest is None:
            raise RejectedReceipt(
                f"batch {number} is not held here: it was let go as applied everywhere, or never sealed",
                hint="cdc-sync status says what waits",
            )
        for destination, secret in _secrets(session, config, key):
            said = Applied(giver=destination, origin=name, epoch=epoch, number=number, digest=digest)
            if core.proves(proof, secret, said):
                _note_applied(session, config, said)
                return destination, number
    raise RejectedReceipt(
        "this code was given for no batch of this node by any of its destinations",
        hint=f"compare it letter by letter; there: cdc-sync receipt --for {config.node.name}",
    )


def _secrets(session: Session, config: Config, key: Ed25519PrivateKey) -> list[tuple[str, bytes]]:
    """Destinations whose keys are known, with the secret that each shares with this node."""
    known_keys = {peer.name: peer.public_key for peer in peers.listed(session) if not peer.revoked_at}
    keys = {d.name: d.key or known_keys.get(d.name) for d in config.destinations}
    found = [(name, device.shared_secret(key, public_key)) for name, public_key in keys.items() if public_key]
    if not found:
        raise ConfigError(
            "the key of no destination is known here",
            hint='enrol there, or add key = "ssh-ed25519 ..." to [[destinations]], as cdc-sync enroll --show prints it',
        )
    return found


def _note_applied(session: Session, config: Config, said: Applied) -> None:
    known_before = known(session, said.origin, said.epoch)
    before = known_before.get(said.giver, Position(origin=said.origin, epoch=said.epoch))
    if before.applied >= said.number:
        return
    stored, digest = max((before.stored, before.digest), (said.number, said.digest), key=lambda at: at[0])
    now = Position(origin=said.origin, epoch=said.epoch, stored=stored, applied=said.number, digest=digest)
    note(session, said.giver, now)
    settle(session, config)


def _place(giver: str, position: Position) -> dict[str, object]:
    return {
        "giver": giver,
        "origin": position.origin,
        "epoch": position.epoch,
        "stored": position.stored,
        "applied": position.applied,
        "digest": position.digest,
    }


def _signed(signed: Signed) -> dict[str, object]:
    return {"data": signed.data, "signature": signed.signature}
