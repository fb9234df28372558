"""The device key: made once, kept in a file that only its owner can read."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cdc_sync.errors import Busy, ConfigError


def create(path: Path) -> Ed25519PrivateKey:
    """Make a key and its file (mode 0600). Never overwrites one."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the device key {str(path)!r} cannot be made: {error.strerror}", hint="make its folder writable"
        ) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    return key


def load(path: Path) -> Ed25519PrivateKey:
    """The key in the file. Raises ConfigError where it is missing or is no key."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise ConfigError(
            f"the device key {str(path)!r} is missing",
            hint="put it back beside the configuration file; without it nobody accepts this node's batches",
        ) from None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{str(path)!r} is not a readable device key", hint="put the right file back") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{str(path)!r} is not an Ed25519 key", hint="put the right file back")
    return key


def load_or_create(path: Path) -> Ed25519PrivateKey:
    """The key in the file, made at the first time: for a node that captures nothing and only receives."""
    if not path.exists():
        try:
            return create(path)
        except ConfigError:
            if not path.exists():
                raise
    return load(path)


def private_text(key: Ed25519PrivateKey) -> bytes:
    """The private key as OpenSSH writes it, for memory only: bundles are opened with it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the node for this process: two replicators on one machine would seal the same changes twice."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy from None
        yield
