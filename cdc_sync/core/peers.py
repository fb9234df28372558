"""Other nodes: what each may write, whom it may carry for, and how it proves who it is when it enrols.

A node enrols with a one-time code, which a person carries from the server to the node. The code holds a secret, by
which the server knows the node, and the server's fingerprint, by which the node knows the server. The secret travels
sealed for the key with that fingerprint: who stands between the two can neither be the server nor use what passes.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cdc_sync.core import device, spoken
from cdc_sync.core.change import WORDS
from cdc_sync.core.plan import OPERATIONS
from cdc_sync.core.wire import Header
from cdc_sync.errors import ConfigError, Forbidden

SECRET_BITS = 80
SERVER_BITS = 90
_SYMBOLS = (SECRET_BITS + SERVER_BITS) // 5 + 1
_NONCE = 12

Grants = Mapping[str, tuple[str, ...]]
"""Tables, as they are called here, and the operations that a node may do there."""

NOTHING: Grants = {}
"""For a node that is known by its receipts only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another node as it is known here. Times are ISO 8601.

    ``relay``: it may bring and fetch other nodes' batches. ``grants``: None stands for everything. ``enrolled_at`` is
    empty for one that was only ever let in by the database, ``revoked_at`` while it was not revoked.
    """

    name: str
    public_key: bytes
    relay: bool = False
    grants: Grants | None = None
    enrolled_at: str = ""
    revoked_at: str = ""

    @property
    def fingerprint(self) -> str:
        return device.fingerprint(self.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A node that may enrol once, until ``expires_at`` (ISO 8601)."""

    name: str
    relay: bool = False
    grants: Grants | None = None
    expires_at: str = ""


def read_grants(texts: Iterable[str]) -> Grants | None:
    """``TABLE`` or ``TABLE:insert,update,delete``, each; None where there are none. Raises ConfigError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        table, colon, listed = text.partition(":")
        operations = tuple(listed.split(",")) if colon else OPERATIONS
        if not table or not set(operations) <= set(OPERATIONS):
            raise ConfigError(
                f"--table {text!r} is no table with operations", hint=f"write TABLE or TABLE:{','.join(OPERATIONS)}"
            )
        found[table] = tuple(operation for operation in OPERATIONS if operation in operations)
    return found or None


def encode_grants(grants: Grants | None) -> str | None:
    return None if grants is None else json.dumps({table: list(may) for table, may in grants.items()})


def decode_grants(text: str | None) -> Grants | None:
    return None if text is None else {table: tuple(may) for table, may in json.loads(text).items()}


def check_grants(peer: Peer, header: Header) -> None:
    """Raise Forbidden for a batch, in this database's names, that writes what its origin may not write."""
    if peer.grants is None:
        return
    for section in header.sections:
        for op, count in section.counts.items():
            word = WORDS.get(op, "write")
            if count and word not in peer.grants.get(section.table, ()):
                raise Forbidden(
                    f"node {peer.name!r} may not {word} rows of table {section.table!r} here",
                    hint=f"cdc-sync enroll {peer.name} --key ... --table {section.table}:{word} allows it",
                )


def check_moved(peer: Peer, before: str, now: str) -> None:
    """Raise Forbidden where rows that wait for one table would go to another, of which the node may do less."""
    may = set(peer.grants.get(now, ())) if peer.grants is not None else set(OPERATIONS)
    if before != now and not may.issuperset(OPERATIONS if peer.grants is None else peer.grants.get(before, ())):
        raise Forbidden(
            f"rows of node {peer.name!r} that wait for table {before!r} may not go to {now!r}",
            hint=f"cdc-sync enroll {peer.name} --key ... --table {now} allows it",
        )


def check_same(known: Peer, public_key: bytes) -> None:
    """Raise Forbidden where a known name comes with another key."""
    if known.public_key != public_key:
        raise Forbidden(
            f"node {known.name!r} is known here with another key, {known.fingerprint}",
            hint="give every machine a node name of its own",
        )


def changed_key(name: str, found: bytes, known: bytes) -> Forbidden:
    """Who answers for a name shows another key than before."""
    return Forbidden(
        f"the key of {name!r} is another than before: {device.fingerprint(found)}, not {device.fingerprint(known)}",
        hint="ask its DBA for cdc-sync enroll --show there, and trust nobody who answers otherwise",
    )


def message(purpose: str, *fields: bytes) -> bytes:
    """What is signed for one purpose: nothing that is signed for another one can be mistaken for it."""
    return b"".join((f"cdc-sync {purpose} 1\0".encode(), *(len(field).to_bytes(4, "big") + field for field in fields)))


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code: the secret, and the beginning of the server's fingerprint."""

    secret: bytes
    server: int

    @classmethod
    def new(cls, server_key: bytes) -> "Code":
        return cls(secrets.token_bytes(SECRET_BITS // 8), _beginning(server_key))

    @classmethod
    def read(cls, text: str) -> "Code":
        """Raises ConfigError for what is no code."""
        value = spoken.without_check(spoken.read(text, _SYMBOLS))
        return cls((value >> SERVER_BITS).to_bytes(SECRET_BITS // 8, "big"), value & (1 << SERVER_BITS) - 1)

    def __str__(self) -> str:
        value = int.from_bytes(self.secret, "big") << SERVER_BITS | self.server
        return spoken.write(spoken.with_check(value), _SYMBOLS, 5)

    def __repr__(self) -> str:
        return "Code(...)"

    def check_server(self, public_key: bytes) -> None:
        """Raise Forbidden where who answers is not who gave out the code."""
        device.check(public_key)
        if _beginning(public_key) != self.server:
            raise Forbidden(
                f"who answers is not the server that gave out this code; its key is {device.fingerprint(public_key)}",
                hint="check the destination's url; ask the server's DBA for a new code, and for cdc-sync enroll --show",
            )


def digest(secret: bytes) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(message("code", secret)).digest()


def _beginning(public_key: bytes) -> int:
    return int.from_bytes(device.digest(public_key), "big") >> 256 - SERVER_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a node sends to be enrolled; ``sealed`` is the code's secret, for the server's eyes."""

    name: str
    public_key: bytes
    sealed: bytes


def apply_for(key: Ed25519PrivateKey, name: str, code: Code, server_key: bytes) -> Application:
    """Raises Forbidden, and tells nothing, where the server's key is not the code's."""
    code.check_server(server_key)
    public, nonce = device.public_of(key), secrets.token_bytes(_NONCE)
    sealed = _cipher(key, server_key).encrypt(nonce, code.secret, _about(name, public, server_key))
    return Application(name=name, public_key=public, sealed=nonce + sealed)


def secret_of(key: Ed25519PrivateKey, application: Application) -> bytes:
    """At the server: the code's secret. Raises Forbidden unless who holds the node's key sealed it for this server."""
    nonce, sealed = application.sealed[:_NONCE], application.sealed[_NONCE:]
    about = _about(application.name, application.public_key, device.public_of(key))
    try:
        device.check(application.public_key)
        return _cipher(key, application.public_key).decrypt(nonce, sealed, about)
    except (InvalidTag, ValueError, ConfigError):
        raise Forbidden("an enrolment was not made with this server's code", hint=NEW_CODE) from None


NEW_CODE = "make a new one at the server: cdc-sync enroll NAME"


def confirm(key: Ed25519PrivateKey, server: str, application: Application) -> bytes:
    """The server's signature: this node is enrolled here."""
    return key.sign(_confirmation(server, device.public_of(key), application))


def check_confirmed(server: str, server_key: bytes, application: Application, signature: bytes) -> None:
    """At the node. Raises Forbidden unless the server enrolled exactly this node."""
    try:
        Ed25519PublicKey.from_public_bytes(server_key).verify(signature, _confirmation(server, server_key, application))
    except (InvalidSignature, ValueError):
        raise Forbidden("the server's answer was changed on its way", hint="try again") from None


def _confirmation(server: str, server_key: bytes, application: Application) -> bytes:
    return message("enrolled", server.encode(), server_key, application.name.encode(), application.public_key)


def _about(name: str, public_key: bytes, server_key: bytes) -> bytes:
    return message("enrol", name.encode(), public_key, server_key)


def _cipher(key: Ed25519PrivateKey, other: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(hashlib.sha256(message("enrol key", device.shared_secret(key, other))).digest())
