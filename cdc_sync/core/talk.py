"""What two nodes say to each other over HTTP: JSON, in which bytes are base64. Batches travel beside it, as frames.

A session begins with a challenge on both sides. Each signs the other's nonce together with both names and keys, so what
was signed for one node, or for one session, is of no use in another. No clock is asked: laptops say 1970.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cdc_sync.core import device
from cdc_sync.core.chain import Position
from cdc_sync.core.change import Shape
from cdc_sync.core.peers import message
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Rename
from cdc_sync.errors import CdcSyncError, Forbidden

NONCE = 32
"""Bytes of a nonce."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who begins a session, or wants to know who answers."""

    node: str
    public_key: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Who answers, and that it holds its key; ``nonce`` is for the other one to sign."""

    node: str
    public_key: bytes
    nonce: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """That who began holds its key. ``nonce`` is the one it was given."""

    node: str
    public_key: bytes
    nonce: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A session: the token that its requests bear, and bytes of the largest batch that is taken.

    ``applies``: what is stored is applied by the server itself. ``streams``: batches are taken while they are sealed.
    """

    token: str = field(repr=False)
    largest_batch: int
    applies: bool
    streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A code was good: the server's signature says so."""

    node: str
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a node is going to send: shapes and captured tables by its own names, and what they are called there."""

    shapes: tuple[Shape, ...]
    captured: tuple[str, ...]
    renames: Mapping[str, Rename] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A column that the receiver does not have, by its own name of the table."""

    table: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The offer is taken, but for these columns."""

    left_out: tuple[Lacking, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the receiver is to call a node's tables and columns from now on."""

    renames: Mapping[str, Rename] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A chain whose batches ``first`` to ``last`` can be fetched; ``digest`` is that of ``last``."""

    origin: str
    epoch: str
    first: int
    last: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """How far chains have come here, and which of them can be fetched here."""

    stored: tuple[Position, ...] = ()
    held: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a batch: it is ``stored`` now, or was ``known`` already, or is ``applied`` too."""

    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why not: for a person, and ``kind`` for the program at the other end (see ``errors``)."""

    error: str
    hint: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """Signed receipts, the answerer's own and those that it carries.

    Asked about one chain: how many of its rows were put aside here, by state, and what keeps it from being applied.
    """

    receipts: tuple[Signed, ...] = ()
    aside: Mapping[str, int] = field(default_factory=dict)
    trouble: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Why some of the receipts that were brought are not believed; the others are kept, or passed over."""

    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """The digest under which a batch is stored here; empty where it is not."""

    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Who answers, and with which version of cdc-sync."""

    node: str
    version: str


def hello(key: Ed25519PrivateKey, node: str) -> Hello:
    return Hello(node=node, public_key=device.public_of(key), nonce=secrets.token_bytes(NONCE))


def challenge(key: Ed25519PrivateKey, node: str, said: Hello) -> Challenge:
    """At the server: answer, and ask in turn."""
    public, nonce = device.public_of(key), secrets.token_bytes(NONCE)
    about = _about("server", said, node, public, nonce)
    return Challenge(node=node, public_key=public, nonce=nonce, signature=key.sign(about))


def check_challenge(said: Hello, answer: Challenge) -> None:
    """At the node. Raises Forbidden unless who answers holds the key that it shows; whose key it is, the caller knows.

    An answer to another hello is one too.
    """
    about = _about("server", said, answer.node, answer.public_key, answer.nonce)
    if not _signed(answer.public_key, answer.signature, about):
        raise Forbidden("who answers does not hold the key that it shows", hint="check the url; try again")


def prove(key: Ed25519PrivateKey, said: Hello, answer: Challenge) -> Proof:
    """At the node: sign what the server asked for."""
    about = _about("node", said, answer.node, answer.public_key, answer.nonce)
    return Proof(node=said.node, public_key=said.public_key, nonce=answer.nonce, signature=key.sign(about))


def check_proof(said: Hello, answer: Challenge, proof: Proof) -> None:
    """At the server. Raises Forbidden unless who began holds the key that it showed."""
    about = _about("node", said, answer.node, answer.public_key, answer.nonce)
    same = (said.node, said.public_key) == (proof.node, proof.public_key)
    if not (same and _signed(said.public_key, proof.signature, about)):
        raise Forbidden("a session was asked for without the key that was shown", hint="ask for a new one")


def _about(who: str, said: Hello, server: str, server_key: bytes, nonce: bytes) -> bytes:
    fields = (said.node.encode(), said.public_key, said.nonce, server.encode(), server_key, nonce)
    return message(f"session {who}", *fields)


def _signed(public_key: bytes, signature: bytes, about: bytes) -> bool:
    try:
        device.check(public_key)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, about)
    except (InvalidSignature, ValueError, CdcSyncError):
        return False
    return True
