"""Bundles made by hand, for tests of what takes them."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import identity
from cdc_sync.core import bundle, device, frames, wire
from cdc_sync.core.bundle import Manifest, Stretch
from cdc_sync.core.peers import message
from cdc_sync.core.receipts import Signed
from cdc_sync.core.wire import Sealed
from cdc_sync.transports import envelope
from tests.batches import Maker

Batch = tuple[Sealed, list[bytes]]


def stretches(batches: Sequence[Batch]) -> tuple[Stretch, ...]:
    """One for each chain; its batches follow each other."""
    found: dict[tuple[str, str], Stretch] = {}
    for sealed, _ in batches:
        header = wire.decode_header(sealed.header)
        chain = header.node, header.epoch
        new = Stretch(
            origin=header.node, epoch=header.epoch, after=header.number - 1, previous=header.previous, digests=b""
        )
        before = found.get(chain, new)
        found[chain] = replace(before, digests=before.digests + sealed.digest)
    return tuple(found.values())


def manifest(giver: str, receiver_key: bytes, batches: Sequence[Batch], receipts: Sequence[Signed] = ()) -> Manifest:
    return Manifest(
        giver=giver,
        receiver="server",
        receiver_key=receiver_key,
        made_at="2026-01-01T00:00:00+00:00",
        size=sum(len(b"".join(frames.write(*batch))) for batch in batches),
        stretches=stretches(batches),
        receipts=tuple(receipts),
    )


def plain(of: Manifest, key: Ed25519PrivateKey, batches: Sequence[Batch]) -> bytes:
    """A bundle before it is closed, whatever its manifest says."""
    content = b"".join(b"".join(frames.write(*batch)) for batch in batches)
    return b"".join(bundle.write(of, key, [content]))


def made(maker: Maker, receiver_key: bytes, batches: Sequence[Batch], **changes: Any) -> bytes:
    """A bundle of a maker's before it is closed; ``changes`` are made to its manifest."""
    of = replace(manifest(maker.name, receiver_key, batches), **changes)
    return plain(of, maker.key, batches)


def signed(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """Any bytes in the place of a manifest, in a bundle without batches."""
    head = wire.pack([data, key.sign(message("bundle", data)), device.public_of(key)])
    return b"cdc-sync bundle 1\n" + len(head).to_bytes(4, "big") + head


def closed(data: bytes, public_key: bytes) -> bytes:
    """As it lies on a stick."""
    out = io.BytesIO()
    envelope.close(public_key, io.BytesIO(data).read, out.write)
    return out.getvalue()


def opened(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """What was closed for a key."""
    out = io.BytesIO()
    envelope.open_with(identity.private_text(key), device.public_of(key), io.BytesIO(data).read, out.write)
    return out.getvalue()
