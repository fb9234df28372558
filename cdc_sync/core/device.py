"""Device keys as people, files and other nodes know them: names, OpenSSH's text, fingerprints, shared secrets.

A node signs with its Ed25519 key. The same key, seen as a point of the other curve (RFC 7748, 4.1), agrees on secrets
with other nodes' keys and opens what was encrypted for it: one key to keep, one key to tell.
"""

import base64
import hashlib
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from cdc_sync.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_EPOCH = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PRIME = 2**255 - 19
_ANY = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"cdc-sync").digest())


def is_name(text: str) -> bool:
    """Whether a node can be called so: names stand in files' names, URLs and messages."""
    return _NAME.fullmatch(text) is not None


def is_epoch(text: str) -> bool:
    """Whether a chain can be called so."""
    return _EPOCH.fullmatch(text) is not None


def public_of(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes that are known of a key elsewhere."""
    return key.public_key().public_bytes_raw()


def text(public_key: bytes, name: str = "") -> str:
    """A public key as OpenSSH writes it: ``ssh-ed25519 AAAA... NAME``."""
    written = Ed25519PublicKey.from_public_bytes(public_key).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return f"{written.decode()} {name}".rstrip()


def read(line: str) -> bytes:
    """The public key in a text of OpenSSH's. Raises ConfigError for anything else, and for a key that is none."""
    try:
        key = load_ssh_public_key(line.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            "that is no public key", hint='write "ssh-ed25519 AAAA...", as cdc-sync enroll --show prints it there'
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("that public key is of another kind", hint="only ssh-ed25519 keys are used")
    public = key.public_bytes_raw()
    check(public)
    return public


def check(public_key: bytes) -> None:
    """Raise ConfigError for a key under which anybody could sign: a point of small order, or no point at all."""
    try:
        agree(_ANY, public_key)
    except ValueError:
        raise ConfigError(
            "that public key is no key of a device", hint="have cdc-sync enroll --show print it again"
        ) from None


def fingerprint(public_key: bytes) -> str:
    """A public key in short, as ``ssh-keygen -l`` shows it: ``SHA256:...``."""
    return "SHA256:" + base64.b64encode(digest(public_key)).decode().rstrip("=")


def digest(public_key: bytes) -> bytes:
    """What the fingerprint writes: SHA-256 over the key as OpenSSH packs it."""
    return hashlib.sha256(base64.b64decode(text(public_key).split()[1])).digest()


def shared_secret(key: Ed25519PrivateKey, public_key: bytes) -> bytes:
    """32 bytes that only this key and the other one can find. Raises ValueError for a key that is none."""
    seed = hashlib.sha512(key.private_bytes_raw()).digest()[:32]
    return agree(X25519PrivateKey.from_private_bytes(seed), public_key)


def agree(key: X25519PrivateKey, public_key: bytes) -> bytes:
    """``shared_secret`` with a key of the other curve."""
    if len(public_key) != 32:
        raise ValueError("a public key has 32 bytes")
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, _PRIME - 2, _PRIME) % _PRIME
    return key.exchange(X25519PublicKey.from_public_bytes(u.to_bytes(32, "little")))
