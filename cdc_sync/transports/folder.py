"""Folders of bundles, on a stick or a share: what lies there for whom, and files that are either whole or not there.

``ROOT/RECEIVER/GIVER.FIRST-LAST.DIGEST.cdcsync`` holds batches, ``ROOT/RECEIVER/GIVER.receipts.DIGEST.cdcsync``
receipts only. What was imported is moved into ``imported`` beside it.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from cdc_sync.core import wire
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.frames import Frame
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.core.wire import Sealed, Section
from cdc_sync.errors import CdcSyncError, Unreachable
from cdc_sync.transports import Offered, Stream

SUFFIX = ".cdcsync"
IMPORTED = "imported"
_PARTIAL = ".partial"
_PIECE = 1024 * 1024
_NAME = re.compile(r"(?P<giver>.+)\.(?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})\.(?P<digest>[0-9a-f]{8})\.cdcsync")
_FULL = (errno.ENOSPC, errno.EDQUOT)
WAITS = "nothing was lost: what was to be written waits here"

Fill = Callable[[Callable[[bytes], object]], None]
"""Writes a file's content with what it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a bundle's name says that holds batches of one chain."""

    giver: str
    first: int
    last: int
    digest: str

    def __str__(self) -> str:
        return f"{self.giver}.{self.first}-{self.last}.{self.digest}{SUFFIX}"


class Shelf:
    """The folder of all receivers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> None:
        """Raise Unreachable where the folder is not there: it is never made, because a stick may not be put in."""
        if not self.root.is_dir():
            raise Unreachable(
                f"there is no folder {str(self.root)!r}",
                hint="put the stick in or mount the share; or make the folder: mkdir",
            )

    def named(self, receiver: str) -> list[Named]:
        """The bundles with batches that lie there for a receiver or lay there, first ones first."""
        folders = (self.root / receiver, self.root / receiver / IMPORTED)
        found = (_NAME.fullmatch(path.name) for folder in folders for path in _files(folder))
        return sorted(
            (
                Named(giver=m["giver"], first=int(m["first"]), last=int(m["last"]), digest=m["digest"])
                for m in found
                if m is not None
            ),
            key=lambda name: (name.giver, name.first, name.last),
        )

    def coming(self, receiver: str) -> list[Path]:
        """What lies there for a receiver, whoever named it, oldest batches first."""
        return sorted(_files(self.root / receiver), key=_order)


def _order(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    return (int(match["first"]) if match else 0), path.name


def _files(folder: Path) -> list[Path]:
    with told(folder):
        try:
            return [path for path in folder.iterdir() if path.suffix == SUFFIX and path.name[0] != "."]
        except FileNotFoundError:
            return []


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise CdcSyncError, with what to do, for what a file system refuses."""
    try:
        yield
    except OSError as error:
        raise _told(path, error) from error


def _told(path: Path, error: OSError) -> CdcSyncError:
    where = str(path)
    if error.errno in _FULL:
        return CdcSyncError(f"there is no room left for {where!r}", hint=f"make room, or take another stick; {WAITS}")
    if error.errno == errno.EFBIG:
        return CdcSyncError(
            f"the file system takes no file as large as {where!r}",
            hint=f"export to a folder, in several files; {WAITS}",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return CdcSyncError(
            f"{where!r} cannot be read or written: {error.strerror}", hint="see to its rights, or take another stick"
        )
    return CdcSyncError(
        f"{where!r} cannot be read or written: {error.strerror or type(error).__name__}",
        hint=f"was the stick pulled out? put it in and do it again; {WAITS}",
    )


def put(path: Path, size: int, fill: Fill) -> None:
    """Write a file that is whole, and safe on its medium, before it gets its name. ``size``: bytes, or some more.

    It is read back first: sticks exist that lose what they were given. Raises CdcSyncError where it cannot be written;
    then nothing of it is left, and a file that had the name is as it was.
    """
    with told(path):
        path.parent.mkdir(exist_ok=True)
        _sweep(path.parent)
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, "")
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
        try:
            with temporary.open("xb") as file:
                _fill(file, fill)
                temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _settle(path.parent)


def _fill(file: BinaryIO, fill: Fill) -> None:
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    digest = hashlib.sha256()

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    fill(write)
    file.flush()
    os.fsync(file.fileno())
    if _read_back(Path(file.name)) != digest.digest():
        raise OSError(errno.EIO, "what was written is not what is read")


def _read_back(path: Path) -> bytes:
    with path.open("rb") as file:
        with suppress(OSError, AttributeError):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").digest()


def _settle(folder: Path) -> None:
    """Make a name safe; some file systems cannot, and need not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what somebody was writing who is not there any more."""
    for path in folder.glob(f".*{_PARTIAL}"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def archive(path: Path) -> Path:
    """Move a file, everything of which is stored, out of the way. Raises CdcSyncError where it cannot be moved."""
    with told(path):
        folder = path.parent / IMPORTED
        folder.mkdir(exist_ok=True)
        return path.replace(folder / path.name)


def forget(path: Path) -> None:
    """Remove a file of ours that a newer one stands for."""
    with suppress(OSError):
        path.unlink()


class Office(Protocol):
    """What the rooms do with bundles, for one destination's folder."""

    def collect(self) -> None:
        """Take what lies there for this node."""

    def position(self, origin: str, epoch: str) -> Position:
        """What the destination said last of a chain, in receipts that it signed."""

    def put(self, batches: Sequence[Frame]) -> None:
        """Lay down batches of a chain that follow each other, as far as they do not lie there."""

    def bring(self, signed: Sequence[Signed]) -> None:
        """Lay down receipts for the destination."""


class Folder:
    """The road that ends in a folder, from which somebody carries on: what is written there has not arrived."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.batches: list[Frame] = []

    def close(self) -> None:
        self.batches = []

    def fit(self, offered: Offered, where: str) -> Sequence[tuple[str, str]]:  # noqa: ARG002
        """Nobody is there who could be asked."""
        return ()

    def call(self, origin: str, renames: Renames) -> None:
        """Bundles say it themselves."""

    def receipt(self, origin: str, epoch: str) -> Position:
        if not self.batches:
            self.office.collect()
        return self.office.position(origin, epoch)

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> Stream | None:  # noqa: ARG002
        return None

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool | None:  # noqa: ARG002
        return None

    def send(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        """Kept until all are known: a bundle begins with what is in it."""
        header = wire.decode_header(sealed.header)
        if self.batches and header.previous != self.batches[-1].sealed.digest:
            self.batches = []
        self.batches.append(Frame(sealed=sealed, header=header, parts=iter(parts)))

    def apply(self, origin: str, epoch: str, progress: Callable[[int], None]) -> Position:  # noqa: ARG002
        batches, self.batches = self.batches, []
        self.office.put([b for b in batches if (b.header.node, b.header.epoch) == (origin, epoch)])
        return self.office.position(origin, epoch)

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]:  # noqa: ARG002
        return {}

    def receipts(self) -> Sequence[Signed]:
        """Those that lie there are taken with everything else that does."""
        self.office.collect()
        return ()

    def bring(self, signed: Sequence[Signed]) -> None:
        self.office.bring(signed)
