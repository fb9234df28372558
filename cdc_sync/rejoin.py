"""A node whose chain does not go on begins a new one, and loses nothing by it.

A restored or copied database presents numbers that a destination knows under other digests; a destination that was
restored lacks batches that are gone here. Either way the node gets a new epoch. Batches that no destination has are
issued again in it, and every row is sent as it stands: one that the destination may know better (it has seen days that
this database has forgotten) gives way to what stands there, and both versions are written down as a conflict.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import follow, held, identity, receipts, registry, resync, roads
from cdc_sync.config import Config, Destination
from cdc_sync.core import chain
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.databases.reading import STANDS, YIELDS
from cdc_sync.errors import CdcSyncError, ConfigError, RejectedBatch, Unreachable
from cdc_sync.held import Held
from cdc_sync.resync import Resynced
from cdc_sync.ship import Progress


class Standing(StrEnum):
    """How a destination stands to this node's chain."""

    GOES_ON = "goes on"
    AHEAD = "ahead"
    """It has batches that this node does not have: this database was restored from a copy, or has a twin."""
    BEHIND = "behind"
    """It lacks batches that are gone here: it was restored from a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejoined:
    """What a rejoin did: how destinations stood, how many batches were issued again, the rows that will be sent.

    ``before``: an earlier rejoin was not finished, and this one was its end.
    """

    standings: dict[str, Standing]
    issued: int = 0
    rows: Sequence[Resynced] = ()
    before: bool = False


def rejoin(
    database: Database, config: Config, *, refused: int | None = None, progress: Progress | None = None
) -> Rejoined:
    """Begin a new chain, where a destination says that this one does not go on.

    ``refused`` is the number of the first batch that a server refused, where no road leads there to ask. Raises
    Unreachable where nobody answers, and what ``resync`` raises; then nothing has changed.
    """
    key = identity.load(config.key_path)
    with identity.exclusive(config.key_path), database.exclusive():
        _check(database, config)
        if op := _unfinished(database):
            rows = resync.resync(database, config, op=op, progress=progress)
            return Rejoined(standings={}, rows=rows, before=True)
        standings, lacks = _ask(database, config, key) if refused is None else _told(config, refused)
        if all(standing is Standing.GOES_ON for standing in standings.values()):
            return Rejoined(standings=standings)
        op = YIELDS if Standing.AHEAD in standings.values() else STANDS
        wanted = [batch for batch in _own(database) if lacks(batch)]
        database.patiently(lambda session: _begin(session, key, wanted, op))
    rows = resync.resync(database, config, op=op, progress=progress)
    return Rejoined(standings=standings, issued=len(wanted), rows=rows)


Lacks = Callable[[Held], bool]
"""Whether no destination has a batch."""


def _check(database: Database, config: Config) -> None:
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session) or not (rows := session.run("node")):
            raise ConfigError(f"no triggers are installed in {database}", hint="run cdc-sync install-triggers")
        registry.check_node(session, rows[0], config.node.name, config.key_path)
        follow.check_configured(session, config)


def _unfinished(database: Database) -> str:
    """What the rows of a rejoin that was stopped are to be sent as; nothing where there is none."""
    with database.begin(Mode.WRITE) as session:
        return resync.under_way(session)


def _told(config: Config, refused: int) -> tuple[dict[str, Standing], Lacks]:
    standings = dict.fromkeys((destination.name for destination in config.final), Standing.AHEAD)
    return standings, lambda batch: batch.number >= refused


def _ask(database: Database, config: Config, key: Ed25519PrivateKey) -> tuple[dict[str, Standing], Lacks]:
    """How each destination stands, and which batches none of them has, which they are asked by number and digest."""
    batches = _own(database)
    standings: dict[str, Standing] = {}
    known: set[int] = set()
    silent: list[CdcSyncError] = []
    for destination in config.reached:
        try:
            standing, there = _stands(database, config, destination, key, batches)
        except Unreachable as error:
            silent.append(error)
        else:
            standings[destination.name] = standing
            known |= there
    if not standings:
        raise (
            silent[0]
            if silent
            else ConfigError(
                "no destination can be asked what it has",
                hint="say which batch was refused there: cdc-sync rejoin --refused NUMBER",
            )
        )
    return standings, lambda batch: batch.number not in known


def _stands(
    database: Database, config: Config, destination: Destination, key: Ed25519PrivateKey, batches: Sequence[Held]
) -> tuple[Standing, set[int]]:
    """How a destination stands, and the numbers of the batches that it has."""
    with database.begin(Mode.READ) as session:
        name, epoch, _ = session.run("node")[0]
        newest = (session.run("outbox_last") or [(0, b"")])[0][0]
    road = roads.open_road(config, destination, database, key)
    try:
        receipt = road.receipt(name, epoch)
        answers = {b.number: road.holds(name, epoch, b.number, b.sealed.digest) for b in batches}
    finally:
        road.close()
    if None in answers.values():
        raise Unreachable(f"destination {destination.name!r} cannot be asked which batches it has")
    there = {number for number, holds in answers.items() if holds}
    try:
        with database.begin(Mode.READ) as session:
            receipts.recognise(session, destination.name, receipt)
    except RejectedBatch:
        return Standing.AHEAD, there
    wanted = next((b.number for b in batches if b.number > receipt.stored), newest + 1)
    return (Standing.BEHIND if wanted > receipt.stored + 1 else Standing.GOES_ON), there


def _own(database: Database) -> list[Held]:
    """This node's own batches that are held, the oldest first."""
    with database.begin(Mode.READ) as session:
        name, epoch, _ = session.run("node")[0]
    first = held.first(database, name, epoch)
    return [] if first is None else list(held.after(database, name, epoch, first - 1))


def _begin(session: Session, key: Ed25519PrivateKey, wanted: Sequence[Held], op: str) -> None:
    """The new epoch, the batches that are issued again in it, and the rows to be sent, all at once."""
    epoch, previous = uuid.uuid4().hex, b""
    session.run("node_epoch", epoch=epoch)
    for number, batch in enumerate(wanted, 1):
        sealed = chain.seal(replace(batch.header, epoch=epoch, number=number, previous=previous), key)
        moved = {"number": batch.number, "as_number": number}
        session.run("outbox_issue", **moved, header=sealed.header, signature=sealed.signature, digest=sealed.digest)
        session.run("outbox_part_issue", **moved)
        previous = sealed.digest
    for name in ("outbox_forget", "outbox_part_forget", "outbox_issued", "outbox_part_issued"):
        session.run(name)
    resync.begin(session, op)
