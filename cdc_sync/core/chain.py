"""The chain of a node's batches: who signed them, and which one may come next."""

from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cdc_sync.core.wire import AGAIN, Header, Sealed, encode_header
from cdc_sync.errors import RejectedBatch

NEW_CHAIN = (
    "run cdc-sync rejoin: the node begins a new chain, sends again what nobody has and every row that it holds, and "
    "overwrites nothing with what may be older; of two machines, give one another name and another key first"
)
"""The way out for a node whose chain does not go on at a destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far one origin's chain has come here: batches ``stored`` and ``applied`` up to and including these numbers.

    ``digest`` is that of batch ``stored``, empty before the first.
    """

    origin: str
    epoch: str
    stored: int = 0
    applied: int = 0
    digest: bytes = b""


class Verdict(Enum):
    """What to do with a batch that arrives."""

    STORE = "store"
    KNOWN = "known"
    GAP = "gap"


def seal(header: Header, key: Ed25519PrivateKey) -> Sealed:
    data = encode_header(header)
    return Sealed(header=data, signature=key.sign(data), public_key=key.public_key().public_bytes_raw())


def verify(sealed: Sealed, origin: str, public_key: bytes) -> None:
    """Raises RejectedBatch unless the batch was signed with the origin's registered key."""
    if sealed.public_key != public_key:
        raise RejectedBatch(
            f"a batch that claims to come from node {origin!r} is signed by another key",
            hint="another machine uses this node's name; give every node a name of its own",
        )
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(sealed.signature, sealed.header)
    except (InvalidSignature, ValueError) as error:
        raise RejectedBatch(f"a batch of node {origin!r} was changed after it was signed", hint=AGAIN) from error


def judge(position: Position, header: Header, digest: bytes, known: bytes | None) -> Verdict:
    """Where a batch belongs in its origin's chain.

    ``known`` is the digest under which this number is stored already, if it is. Raises RejectedBatch for a fork: the
    same number under another digest, which is how a restored or cloned database shows itself (DESIGN.md, decision 9).
    """
    if header.number <= position.stored:
        if known is not None and known != digest:
            raise _sent_fork(header)
        return Verdict.KNOWN
    if header.number > position.stored + 1:
        return Verdict.GAP
    if header.previous != position.digest:
        raise _sent_fork(header)
    return Verdict.STORE


def recognise(destination: str, position: Position, held: tuple[Header, bytes] | None) -> None:
    """Check that the newest batch stored at a destination is the origin's own one of that number.

    ``held`` is the oldest batch that the origin holds from that number on, with its digest; None where its own numbers
    end before. It names the digest of the one before it too; of batches still older nothing is known here, and whoever
    sends finds that there is a gap. Raises RejectedBatch for a fork, as ``judge`` does at the other end: without this,
    batches under numbers that the destination has stored would never be sent, and be taken for applied.
    """
    if held is None:
        forked = position.stored > 0
    else:
        header, digest = held
        own = {header.number: digest, header.number - 1: header.previous}
        forked = own.get(position.stored, position.digest) != position.digest
    if forked:
        raise _fork(
            f"destination {destination!r} holds a batch {position.stored} of node {position.origin!r} "
            "that the node itself does not have"
        )


def other_batch(giver: str, origin: str, number: int) -> RejectedBatch:
    """A receipt that speaks of another batch under the same number."""
    return _fork(f"{giver!r} holds another batch {number} of node {origin!r} than the one that is held here")


def _sent_fork(header: Header) -> RejectedBatch:
    return _fork(f"node {header.node!r} sends a batch {header.number} that differs from the one already received")


def _fork(what: str) -> RejectedBatch:
    return RejectedBatch(
        f"{what}: the node's database was restored from a copy, or two machines use the same copy", hint=NEW_CHAIN
    )
