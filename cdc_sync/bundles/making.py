"""What a destination has not confirmed, and the receipts that are for it, written into bundles for it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import clock, follow, held, identity, peers, receipts, registry, relay, seal
from cdc_sync.config import Config
from cdc_sync.core import bundle, frames
from cdc_sync.core import receipts as core
from cdc_sync.core.bundle import Manifest, Stretch
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import NONE
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import Busy, ConfigError
from cdc_sync.follow import Drifted
from cdc_sync.transports import Chain, envelope, folder
from cdc_sync.transports.folder import Named, Shelf

LARGEST = 1024**3
"""Bytes of batches in one of several bundles at most, unless one batch alone is larger: sticks have limits."""

MOST = 10_000
"""Batches in one of several bundles at most."""

_AROUND = 64 * 1024
"""Bytes of a bundle beyond its batches, more or less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A bundle that was written. ``batches``: (origin, first, last) for each chain in it; ``size`` in bytes."""

    receiver: str
    path: Path
    batches: tuple[tuple[str, int, int], ...]
    rows: int
    receipts: int
    size: int


class Maker:
    """Writes the bundles of this node."""

    def __init__(self, database: Database, config: Config, key: Ed25519PrivateKey) -> None:
        self.database = database
        self.config = config
        self.key = key
        self.name = config.node.name

    def key_of(self, receiver: str) -> bytes:
        """The public key that bundles for a node are closed with. Raises ConfigError where it is not known."""
        with self.database.begin(Mode.READ) as session:
            peer = peers.find(session, receiver)
        if peer is None or peer.revoked_at:
            raise ConfigError(
                f"the key of {receiver!r} is not known here, so nothing can be closed for it alone",
                hint='add key = "ssh-ed25519 ..." to its [[destinations]], as cdc-sync enroll --show prints it there',
            )
        return peer.public_key

    def unconfirmed(self, receiver: str) -> list[list[Frame]]:
        """Batches of each chain that a destination has not said to have stored, and that are held here."""
        return [
            [Frame(sealed=b.sealed, header=b.header, parts=b.parts()) for b in self._after(chain, receiver)]
            for chain in self._chains(receiver)
        ]

    def _chains(self, receiver: str) -> Sequence[Chain]:
        if receiver not in {destination.name for destination in self.config.destinations}:
            return ()
        return relay.Offering(self.database, self.config, self.key, receiver).offers()

    def _after(self, chain: Chain, receiver: str) -> Iterator[held.Held]:
        with self.database.begin(Mode.READ) as session:
            said = receipts.known(session, chain.origin, chain.epoch).get(receiver)
        stored = max(said.stored if said else 0, chain.first - 1)
        return held.after(self.database, chain.origin, chain.epoch, stored) if stored < chain.last else iter(())

    def receipts(self, receiver: str, also: Iterable[str] = ()) -> list[Signed]:
        """Receipts about what a node sent, about what ``also`` names, and for a relay about everything."""
        with self.database.begin(Mode.READ) as session:
            peer = peers.find(session, receiver)
            about = None if peer is not None and peer.relay else {receiver, *also}
            return [each for each in self._all(session) if _is_for(core.read(each), receiver, about)]

    def _all(self, session: Session) -> Iterator[Signed]:
        for origin, epoch, stored, *_ in session.run("positions"):
            if stored:
                yield receipts.give(session, self.key, self.name, origin, epoch)
        for each in receipts.carried(session):
            if core.read(each).giver != self.name:
                yield each

    def lay_down(self, shelf: Shelf, receiver: str, batches: Sequence[Frame]) -> list[Written]:
        """Batches of one chain, in as many bundles as it takes. Bundles of ours that hold less of it are removed."""
        written = []
        for some in _portions(batches):
            named = _named(self.name, some)
            path = shelf.root / receiver / str(named)
            written.append(self.write(path, receiver, some, ()))
            digests = {frame.header.number: frame.sealed.digest.hex()[:8] for frame in some}
            for other in shelf.named(receiver):
                within = named.first <= other.first and digests.get(other.last) == other.digest
                if other.giver == self.name and within and other != named:
                    folder.forget(shelf.root / receiver / str(other))
        return written

    def answer(self, shelf: Shelf, receiver: str, signed: Sequence[Signed], *, again: bool) -> Written | None:
        """A bundle of receipts only, which replaces older ones; unless ``again``, none where it lies there already."""
        if not signed:
            return None
        path = shelf.root / receiver / f"{self.name}.receipts.{bundle.facts(signed)}{folder.SUFFIX}"
        if not again and any(place.exists() for place in (path, path.parent / folder.IMPORTED / path.name)):
            return None
        written = self.write(path, receiver, (), signed)
        for other in shelf.coming(receiver):
            if other != path and other.name.startswith(f"{self.name}.receipts."):
                folder.forget(other)
        return written

    def write(self, path: Path, receiver: str, batches: Sequence[Frame], signed: Sequence[Signed]) -> Written:
        """One bundle. Raises CdcSyncError where it cannot be written; then nothing of it is there."""
        manifest, public_key = self._manifest(receiver, batches, signed), self.key_of(receiver)
        content = itertools.chain.from_iterable(frames.write(frame.sealed, frame.parts) for frame in batches)
        plain = frames.chunked(bundle.write(manifest, self.key, content))
        size = manifest.size + manifest.size // 1000 + _AROUND
        folder.put(path, size, lambda write: envelope.close(public_key, plain, write))
        return Written(
            receiver=receiver,
            path=path,
            batches=tuple((stretch.origin, stretch.first, stretch.last) for stretch in manifest.stretches),
            rows=sum(frame.header.rows for frame in batches),
            receipts=len(signed),
            size=path.stat().st_size,
        )

    def _manifest(self, receiver: str, batches: Sequence[Frame], signed: Sequence[Signed]) -> Manifest:
        return Manifest(
            giver=self.name,
            receiver=receiver,
            receiver_key=self.key_of(receiver),
            made_at=clock.now(),
            size=sum(frames.size(frame.sealed, frame.header) for frame in batches),
            stretches=tuple(self._skipping(stretch) for stretch in _stretches(batches)),
            receipts=tuple(signed),
            renames=self.config.renames if any(f.header.node == self.name for f in batches) else NONE,
        )

    def _skipping(self, stretch: Stretch) -> Stretch:
        first = held.first(self.database, stretch.origin, stretch.epoch)
        return replace(stretch, skips=first is not None and first == stretch.first > 1)


def _is_for(receipt: core.Receipt, receiver: str, about: set[str] | None) -> bool:
    return receipt.giver != receiver and (about is None or receipt.origin in about)


def _stretches(batches: Iterable[Frame]) -> Iterator[Stretch]:
    for (origin, epoch), some in itertools.groupby(batches, key=lambda frame: (frame.header.node, frame.header.epoch)):
        listed = list(some)
        first = listed[0].header
        yield Stretch(
            origin=origin,
            epoch=epoch,
            after=first.number - 1,
            previous=first.previous,
            digests=b"".join(frame.sealed.digest for frame in listed),
        )


def _portions(batches: Sequence[Frame]) -> Iterator[list[Frame]]:
    some: list[Frame] = []
    size = 0
    for frame in batches:
        more = frames.size(frame.sealed, frame.header)
        if some and (size + more > LARGEST or len(some) == MOST):
            yield some
            some, size = [], 0
        some.append(frame)
        size += more
    if some:
        yield some


def _named(giver: str, batches: Sequence[Frame]) -> Named:
    """``batches`` are of one chain."""
    first, last = batches[0], batches[-1]
    digest = last.sealed.digest.hex()[:8]
    return Named(giver=giver, first=first.header.number, last=last.header.number, digest=digest)


def seal_waiting(database: Database, config: Config, key: Ed25519PrivateKey) -> bool:
    """Seal what waits. False where somebody else is at work on this node, and does it."""
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session) or not session.run("node"):
            return True
        follow.check_configured(session, config)
    try:
        with identity.exclusive(config.key_path), database.exclusive():
            try:
                seal.seal(database, key, clock.now(), dated=config.newest_wins)
            except Drifted:
                as_captured = partial(seal.as_captured, database, key, clock.now(), config.newest_wins)
                follow.follow(database, config, as_captured)
                seal.seal(database, key, clock.now(), dated=config.newest_wins)
    except Busy:
        return False
    return True


def export(database: Database, config: Config, key: Ed25519PrivateKey, to: Path, receiver: str) -> list[Written]:
    """Write what a node has not confirmed into a folder or a file.

    Nothing is written where nothing waits. A file that is there already is not written over. Raises ConfigError, and
    CdcSyncError where it cannot be written: then what waits goes on waiting.
    """
    maker = Maker(database, config, key)
    maker.key_of(receiver)
    if not is_folder(to):
        return _into_file(maker, to, receiver)
    shelf = Shelf(to)
    _make(to)
    shelf.check()
    written = [w for batches in maker.unconfirmed(receiver) for w in maker.lay_down(shelf, receiver, batches)]
    answer = maker.answer(shelf, receiver, maker.receipts(receiver), again=True)
    return [*written, *([answer] if answer else [])]


def _make(folder_to: Path) -> None:
    """Make a folder whose own folder is there."""
    with folder.told(folder_to):
        folder_to.mkdir(exist_ok=True)


def is_folder(to: Path) -> bool:
    """Whether a path means a folder: one that is there, or a name without a suffix."""
    return to.is_dir() or (not to.exists() and not to.suffix)


def _into_file(maker: Maker, to: Path, receiver: str) -> list[Written]:
    if to.exists():
        raise ConfigError(f"there is a file {str(to)!r} already", hint="name another one, or a folder")
    batches = [frame for chain in maker.unconfirmed(receiver) for frame in chain]
    signed = maker.receipts(receiver)
    return [maker.write(to, receiver, batches, signed)] if batches or signed else []


def receivers(database: Database, config: Config, to: Path, wanted: str) -> list[str]:
    """Whom an export is for: who is named; else every destination whose key is known, and whoever sent something here.

    Raises ConfigError where that is nobody, or more than fit into one file.
    """
    if wanted:
        return [wanted]
    with database.begin(Mode.READ) as session:
        known = {peer.name for peer in peers.listed(session) if not peer.revoked_at}
        sent = {origin for origin, _, stored, *_ in session.run("positions") if stored}
    named = [destination.name for destination in config.destinations]
    found = [name for name in dict.fromkeys([*named, *sorted(sent)]) if name in known and name != config.node.name]
    if not found:
        raise ConfigError(
            "no destination's key is known here, so nothing can be closed for it alone",
            hint='add key = "ssh-ed25519 ..." to [[destinations]], as cdc-sync enroll --show prints it there',
        )
    if len(found) > 1 and not is_folder(to):
        raise ConfigError("one file is for one node", hint=f"say --for {found[0]}; or name a folder")
    return found
