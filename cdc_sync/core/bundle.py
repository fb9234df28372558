"""Bundles: batches of any number of chains, and receipts, in one file that nobody needs to be asked about.

A bundle is a line that says so, the length of its head (4 bytes, big-endian), the head, and the batches' frames. The
head is MessagePack: the manifest, its giver's signature, and the giver's public key. The manifest is signed and comes
first: a reader knows who made the bundle, for whom, what has to be there before it, and every batch in it by its
digest, before it reads any batch. It never holds more than the head, or a batch's header or part.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cdc_sync.core import device, frames, limits, receipts, wire
from cdc_sync.core.frames import Frame, Read
from cdc_sync.core.limits import MIB, Limits
from cdc_sync.core.peers import message
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import NONE, Renames
from cdc_sync.errors import RejectedBatch, RejectedBundle, TooLarge

VERSION = 1
_FIRST = b"cdc-sync bundle "
_LINE = len(_FIRST) + 5
_LENGTH = 4
_DIGEST = 32
LARGEST_HEAD = 4 * MIB
"""Bytes of a head at most: room for the digests of 100,000 batches, or for some 10,000 receipts."""

_MANY = 2**62
_Piece = TypeVar("_Piece")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Batches of one chain that follow each other: those after number ``after``, whose digest is ``previous``.

    ``digests`` are theirs, one after the other, 32 bytes each. ``skips``: what comes before is not held at the giver
    any more, because it is applied at every final destination: a relay that only passes on does without.
    """

    origin: str
    epoch: str
    after: int
    previous: bytes
    digests: bytes
    skips: bool = False

    @property
    def count(self) -> int:
        return len(self.digests) // _DIGEST

    @property
    def first(self) -> int:
        return self.after + 1

    @property
    def last(self) -> int:
        return self.after + self.count

    def digest(self, number: int) -> bytes:
        """The digest of a batch from ``after`` to ``last``."""
        start = (number - self.first) * _DIGEST
        return self.digests[start : start + _DIGEST] if number > self.after else self.previous


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle holds. ``made_at`` is ISO 8601, for people; ``size`` the bytes of all frames.

    ``receiver_key`` is the public key that it is encrypted for. ``renames`` are what the receiver is to call the
    giver's own tables and columns.
    """

    giver: str
    receiver: str
    receiver_key: bytes
    made_at: str
    size: int
    stretches: tuple[Stretch, ...] = ()
    receipts: tuple[Signed, ...] = ()
    renames: Renames = NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A bundle whose manifest is read and was signed with ``public_key``, whoever has that.

    ``frames`` can be read once; each of them is what the manifest says, or raises.
    """

    manifest: Manifest
    public_key: bytes
    frames: Iterator[Frame]


def write(manifest: Manifest, key: Ed25519PrivateKey, batches: Iterable[bytes]) -> Iterator[bytes]:
    """A bundle in pieces; ``batches`` are the frames' bytes in the manifest's order.

    Raises TooLarge where the manifest has no room for so many batches or receipts.
    """
    data = wire.pack(manifest)
    head = wire.pack([data, key.sign(message("bundle", data)), device.public_of(key)])
    if len(head) > LARGEST_HEAD:
        raise TooLarge(
            "so many batches do not go into one bundle", hint="export to a folder: there they go into several"
        )
    yield _FIRST + f"{VERSION}\n".encode()
    yield len(head).to_bytes(_LENGTH, "big") + head
    yield from batches


def read(source: Read, limit: Limits = limits.CARRIED) -> Opened:
    """A bundle, as far as its manifest. Its frames have to be taken to the last for anything of it to be believed.

    Raises RejectedBundle, also out of the frames, for everything that is no bundle of this version, was changed after
    it was signed, or is not whole. Who signed is not known here: that is the receiver's to check.
    """
    _check_line(source)
    length = int.from_bytes(_exactly(source, _LENGTH), "big")
    if length > LARGEST_HEAD:
        raise RejectedBundle("the bundle's manifest is larger than any can be", hint=AGAIN)
    manifest, public_key = _manifest(_exactly(source, length))
    return Opened(manifest=manifest, public_key=public_key, frames=_frames(manifest, source, limit))


AGAIN = "have the bundle made and copied again; nothing of it was stored"


BEGINNING = len(_FIRST) + 2 + _LENGTH
"""Bytes after which it is known how long a bundle's head is."""


def head_size(beginning: bytes) -> int:
    """The bytes before the first frame, as far as the first ``BEGINNING`` bytes say."""
    length = int.from_bytes(beginning[BEGINNING - _LENGTH : BEGINNING], "big") if len(beginning) >= BEGINNING else 0
    return BEGINNING + min(length, LARGEST_HEAD)


def facts(signed: Iterable[Signed]) -> str:
    """Eight letters for what receipts say, whenever they were given."""
    said = sorted(wire.pack(replace(receipts.read(each), given_at="")) for each in signed)
    return hashlib.sha256(b"".join(said)).hexdigest()[:8]


def _exactly(source: Read, length: int) -> bytes:
    try:
        return frames.exactly(source, length)
    except RejectedBatch:
        raise RejectedBundle("the bundle ends before its end", hint=AGAIN) from None


def _check_line(source: Read) -> None:
    if _exactly(source, len(_FIRST)) != _FIRST:
        raise RejectedBundle("that is no bundle of cdc-sync", hint=AGAIN)
    written = bytearray()
    while not written.endswith(b"\n") and len(written) < _LINE - len(_FIRST):
        written += _exactly(source, 1)
    version = written[:-1].decode("ascii", "replace")
    if written != f"{VERSION}\n".encode():
        if version.isdecimal() and written.endswith(b"\n"):
            raise RejectedBundle(
                f"the bundle is written in format {version}; this cdc-sync reads format {VERSION}",
                hint="upgrade cdc-sync on the older side",
            )
        raise RejectedBundle("that is no bundle of cdc-sync", hint=AGAIN)


def _manifest(head: bytes) -> tuple[Manifest, bytes]:
    try:
        data, signature, public_key = wire.unpack(head, tuple[bytes, bytes, bytes], "the bundle's head")
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message("bundle", data))
        manifest = wire.unpack(data, Manifest, "the bundle's manifest")
    except RejectedBatch as error:
        raise RejectedBundle(str(error), hint=AGAIN) from error
    except (InvalidSignature, ValueError) as error:
        raise RejectedBundle("the bundle was changed after it was signed", hint=AGAIN) from error
    _check(manifest)
    return manifest, public_key


def _check(manifest: Manifest) -> None:
    names = {manifest.giver, manifest.receiver, *(stretch.origin for stretch in manifest.stretches)}
    chains = {(stretch.origin, stretch.epoch) for stretch in manifest.stretches}
    possible = (
        all(map(device.is_name, names))
        and len(manifest.receiver_key) == _DIGEST
        and 0 <= manifest.size < _MANY
        and len(chains) == len(manifest.stretches)
        and all(map(_is_possible, manifest.stretches))
    )
    if not possible:
        raise RejectedBundle("the bundle's manifest contradicts itself", hint="upgrade cdc-sync there")


def _is_possible(stretch: Stretch) -> bool:
    return (
        device.is_epoch(stretch.epoch)
        and 0 <= stretch.after < _MANY
        and len(stretch.previous) == (_DIGEST if stretch.after else 0)
        and stretch.count > 0
        and len(stretch.digests) % _DIGEST == 0
    )


def _frames(manifest: Manifest, source: Read, limit: Limits) -> Iterator[Frame]:
    coming = _refusing(frames.read_all(source, limit))
    left = manifest.size
    for stretch in manifest.stretches:
        for number in range(stretch.first, stretch.last + 1):
            frame = next(coming, None)
            if frame is None:
                raise RejectedBundle("the bundle ends before its end", hint=AGAIN)
            _check_frame(frame, stretch, number)
            left -= frames.size(frame.sealed, frame.header)
            yield replace(frame, parts=_refusing(frame.parts))
    if left or next(coming, None) is not None:
        raise RejectedBundle("the bundle has more or less in it than its manifest says", hint=AGAIN)


def _refusing(coming: Iterator[_Piece]) -> Iterator[_Piece]:
    """The same; what is wrong with a batch is wrong with the bundle."""
    try:
        yield from coming
    except TooLarge:
        raise
    except RejectedBatch as error:
        raise RejectedBundle(str(error), hint=AGAIN) from error


def _check_frame(frame: Frame, stretch: Stretch, number: int) -> None:
    header = frame.header
    place = (header.node, header.epoch, header.number)
    if place != (stretch.origin, stretch.epoch, number) or frame.sealed.digest != stretch.digest(number):
        raise RejectedBundle(
            f"the bundle has another batch where batch {number} of node {stretch.origin!r} should be", hint=AGAIN
        )
    if header.previous != stretch.digest(number - 1):
        raise RejectedBundle(f"batch {number} of node {stretch.origin!r} does not follow the one before it", hint=AGAIN)
