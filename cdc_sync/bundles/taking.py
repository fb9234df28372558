"""Bundles that were brought here: opened, verified to the last byte, stored in order, and answered with receipts."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import apply, identity, peers, receipts, receive
from cdc_sync.apply import names
from cdc_sync.bundles.making import Maker, Written
from cdc_sync.config import Config
from cdc_sync.core import bundle, chain, device, limits, wire
from cdc_sync.core.bundle import Manifest, Opened, Stretch
from cdc_sync.core.chain import Verdict
from cdc_sync.core.frames import Frame
from cdc_sync.core.peers import check_grants
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import CdcSyncError, ConfigError, RejectedBatch, RejectedBundle, RejectedReceipt, batches
from cdc_sync.inbox import DatabaseInbox
from cdc_sync.transports import envelope, folder
from cdc_sync.transports.folder import Shelf


class State(StrEnum):
    """What became of a file."""

    STORED = "stored"
    DEFERRED = "deferred"
    """Some of it waits for batches that are missing."""

    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a bundle has of one chain: its batches ``first`` to ``last``, how many and how many rows were new here.

    ``missing`` is the first of the batches that have to come before, up to ``first``; 0 where none is missing.
    """

    origin: str
    first: int
    last: int
    batches: int = 0
    rows: int = 0
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file that was looked at. ``receipts`` counts those taken; ``notes`` say what else is to be known."""

    path: Path
    state: State
    giver: str = ""
    chains: tuple[Stored, ...] = ()
    receipts: int = 0
    problem: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of all files, how many batches were applied then, and which receipts were written.

    ``waiting``: rows of the origins met that are put aside, by what they wait for.
    """

    files: tuple[Imported, ...]
    applied: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    problems: tuple[CdcSyncError, ...] = field(default=())


class Taker:
    """Takes bundles for this node."""

    def __init__(self, database: Database, config: Config, key: Ed25519PrivateKey) -> None:
        self.database = database
        self.config = config
        self.private, self.public = identity.private_text(key), device.public_of(key)
        self.limits = replace(limits.CARRIED, batch=config.serve.largest_batch)

    @property
    def _only_passes_on(self) -> bool:
        return self.config.node.relay and not self.config.node.apply

    def take(self, path: Path) -> Imported:
        """Store everything of a file, once all of it is verified. Never raises for what is wrong with the file."""
        try:
            with tempfile.TemporaryFile() as plain:
                self._open(path, plain)
                manifest = self._verify(plain)
                return self._store(path, plain, manifest)
        except (RejectedBundle, RejectedBatch, RejectedReceipt) as error:
            return Imported(path=path, state=State.REFUSED, problem=str(error), hint=error.hint)

    def _open(self, path: Path, plain: IO[bytes]) -> None:
        guard = _Guard(plain, self._check)
        with folder.told(path), path.open("rb") as file:
            try:
                envelope.open_with(self.private, self.public, file.read, guard.write)
            except envelope.OtherKey as other:
                raise self._for_another(other.tag) from None

    def _for_another(self, tag: str) -> RejectedBundle:
        with self.database.begin(Mode.READ) as session:
            known = [peer.name for peer in peers.listed(session) if envelope.tag(peer.public_key) == tag]
        whose = f"is for node {known[0]!r}" if known else f"is for another key, SHA256:{envelope.shown(tag)}..."
        return RejectedBundle(
            f"the bundle {whose}; this node's key is {device.fingerprint(self.public)}",
            hint=f"bring it there; or, where it was meant for {self.config.node.name!r}, "
            "compare cdc-sync enroll --show with what its sender's [[destinations]] says",
        )

    def _check(self, opened: Opened) -> None:
        """Raises RejectedBundle for a bundle that is not for this node, or not of a node that is known here."""
        manifest = opened.manifest
        if (manifest.receiver, manifest.receiver_key) != (self.config.node.name, self.public):
            raise RejectedBundle(
                f"the bundle was made for node {manifest.receiver!r}, with the key "
                f"{device.fingerprint(manifest.receiver_key)}",
                hint="bring it there",
            )
        with self.database.begin(Mode.READ) as session:
            giver = peers.enrolled(session, manifest.giver)
        if giver.public_key != opened.public_key:
            raise RejectedBundle(
                f"the bundle claims to come from {manifest.giver!r}, but is signed with the key "
                f"{device.fingerprint(opened.public_key)}; known here is {giver.fingerprint}",
                hint=f"ask the DBA of {manifest.giver!r} for cdc-sync enroll --show there",
            )

    def _verify(self, plain: IO[bytes]) -> Manifest:
        """Everything that can be known of a bundle before anything of it is stored."""
        plain.seek(0)
        opened = bundle.read(plain.read, self.limits)
        self._check(opened)
        manifest = opened.manifest
        for frame in opened.frames:
            self._permit(frame, manifest)
            for part, data in zip(frame.header.parts, frame.parts, strict=True):
                wire.check_part(part, data)
                wire.check_unpacked(data, self.limits.unpacked)
        return manifest

    def _permit(self, frame: Frame, manifest: Manifest) -> None:
        """Raises Forbidden for a batch that its origin or its carrier may not bring, RejectedBatch for a forged one."""
        origin = frame.header.node
        with self.database.begin(Mode.READ) as session:
            peer = peers.admitted(session, origin, frame.sealed.public_key, manifest.giver)
            renames = manifest.renames if origin == manifest.giver else names.of(session, origin)
        chain.verify(frame.sealed, origin, peer.public_key)
        check_grants(peer, renames.header(frame.header))

    def _store(self, path: Path, plain: IO[bytes], manifest: Manifest) -> Imported:
        if any(stretch.origin == manifest.giver for stretch in manifest.stretches):
            DatabaseInbox(self.database, self.config.policies, manifest.giver).call(manifest.giver, manifest.renames)
        chains = tuple(self._chains(plain))
        with self.database.begin(Mode.WRITE) as session:
            refused = receipts.bring(session, manifest.receipts)
            receipts.settle(session, self.config)
        found = Imported(
            path=path,
            state=State.DEFERRED if any(chain.missing for chain in chains) else State.STORED,
            giver=manifest.giver,
            chains=chains,
            receipts=len(manifest.receipts) - len(refused),
            notes=tuple(f"a receipt was not taken: {error}" for error in refused),
        )
        return _missing(found) if found.state is State.DEFERRED else found

    def _chains(self, plain: IO[bytes]) -> Iterator[Stored]:
        plain.seek(0)
        opened = bundle.read(plain.read, self.limits)
        for stretch in opened.manifest.stretches:
            here = receive.position(self.database, stretch.origin, stretch.epoch)
            found = Stored(origin=stretch.origin, first=stretch.first, last=stretch.last)
            if stretch.after > here.stored and not (stretch.skips and self._only_passes_on):
                found = replace(found, missing=here.stored + 1)
            yield self._one(opened, stretch, found)

    def _one(self, opened: Opened, stretch: Stretch, found: Stored) -> Stored:
        for _ in range(stretch.count):
            frame = next(opened.frames)
            if found.missing:
                continue
            giver, skips = opened.manifest.giver, stretch.skips
            verdict = receive.store(self.database, frame.sealed, frame.parts, giver, self.limits, skips=skips)
            if verdict is Verdict.STORE:
                found = replace(found, batches=found.batches + 1, rows=found.rows + frame.header.rows)
        return found


def _missing(found: Imported) -> Imported:
    waits = [chain for chain in found.chains if chain.missing]
    which = "; ".join(f"{batches(c.missing, c.first - 1)} of node {c.origin!r} must come first" for c in waits)
    return replace(
        found, problem=which, hint="import the bundle that has them, or have one made: cdc-sync export, at the sender"
    )


class _Guard:
    """Writes what is decrypted, and looks at its head as soon as it is there: nobody fills a disk who is not known."""

    def __init__(self, file: IO[bytes], check: Callable[[Opened], None]) -> None:
        self.file = file
        self.check = check
        self.size = 0
        self.most: int | None = None

    def write(self, data: bytes) -> None:
        try:
            self.file.write(data)
        except OSError as error:
            raise CdcSyncError(
                f"there is no room to open the bundle in: {error.strerror}",
                hint="make room for temporary files, or set TMPDIR to a folder that has some; nothing was stored",
            ) from error
        self.size += len(data)
        if self.most is None:
            self._look()
        if self.most is not None and self.size > self.most:
            raise RejectedBundle("the bundle has more in it than its manifest says", hint=bundle.AGAIN)

    def _look(self) -> None:
        self.file.seek(0)
        head = bundle.head_size(self.file.read(bundle.BEGINNING))
        if self.size >= head:
            self.file.seek(0)
            opened = bundle.read(self.file.read)
            self.check(opened)
            self.most = head + opened.manifest.size
        self.file.seek(0, 2)


def bring_in(database: Database, config: Config, key: Ed25519PrivateKey, path: Path) -> Report:
    """Import a file, or everything that lies in a folder for this node, in whatever order; apply it; give receipts.

    Files are moved to ``imported`` once everything of them is stored. Raises ConfigError where there is no such path.
    """
    taker, shelf, own = Taker(database, config, key), _shelf(config, path), config.node.name
    paths = _paths(shelf, own, path)
    files = [_archived(each, shelf.root / own) for each in _all(taker, paths)]
    report = Report(files=tuple(files))
    if config.node.apply and any(each.chains for each in files):
        report = _applied(database, config, report)
    return answer(Maker(database, config, key), shelf, report)


def _applied(database: Database, config: Config, report: Report) -> Report:
    try:
        report = replace(report, applied=apply.drain(database, config.policies))
    except CdcSyncError as error:
        report = replace(report, problems=(error,))
    met = {chain.origin for each in report.files for chain in each.chains}
    waiting: Counter[str] = Counter()
    with database.begin(Mode.READ) as session:
        for origin, epoch, *_ in session.run("positions"):
            if origin in met:
                waiting.update(dict(session.run("letters_waiting", origin=origin, epoch=epoch)))
    return replace(report, waiting=waiting)


def _shelf(config: Config, path: Path) -> Shelf:
    """The folder of all receivers that a file or a folder belongs to."""
    if not path.exists():
        raise ConfigError(f"there is no {str(path)!r}", hint="put the stick in, or name another file or folder")
    own = path if path.is_dir() else path.parent
    return Shelf(own.parent if own.name == config.node.name else own)


def _paths(shelf: Shelf, own: str, path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [*shelf.coming(own), *shelf.coming("")]


def _all(taker: Taker, paths: Sequence[Path]) -> list[Imported]:
    """Each file, and again those that had to wait, as long as something comes that they may have waited for."""
    found: dict[Path, Imported] = {}
    waiting = list(paths)
    while waiting:
        for path in waiting:
            found[path] = taker.take(path)
        news = any(chain.batches for path in waiting for chain in found[path].chains)
        waiting = [path for path in waiting if found[path].state is State.DEFERRED and news]
    return list(found.values())


def _archived(found: Imported, folder_of_own: Path) -> Imported:
    if found.state is not State.STORED or found.path.parent != folder_of_own:
        return found
    try:
        folder.archive(found.path)
    except CdcSyncError as error:
        return replace(found, notes=(*found.notes, f"the file stays where it is: {error}"))
    return found


def answer(maker: Maker, shelf: Shelf, report: Report) -> Report:
    """Write receipts for every node of which something was met, and for who brought it."""
    met: dict[str, set[str]] = {}
    for each in report.files:
        if each.chains:
            origins = {chain.origin for chain in each.chains}
            met.setdefault(each.giver, set()).update(origins)
            for origin in origins:
                met.setdefault(origin, set())
    written, problems = list[Written](), list(report.problems)
    for who, origins in sorted(met.items()):
        try:
            found = maker.answer(shelf, who, maker.receipts(who, origins), again=False)
        except CdcSyncError as error:
            problems.append(error)
        else:
            written += [found] if found else []
    return replace(report, written=tuple(written), problems=tuple(problems))
