"""The envelope of a bundle: the age format, closed for one device key and opened with it.

Any age that reads ssh-ed25519 keys opens it as well. Who closed it is not known by it: the bundle inside is signed.
"""

import base64
import itertools
import re
from collections.abc import Callable
from functools import partial

import pyrage  # type: ignore[import-untyped]

from cdc_sync.core import device, frames
from cdc_sync.core.bundle import AGAIN
from cdc_sync.core.frames import Read
from cdc_sync.errors import RejectedBundle

_LARGEST_HEAD = 4096
"""Bytes before the first encrypted one at most: one envelope is for one key, and takes some 250."""

_HEAD = re.compile(
    rb"age-encryption\.org/v1\n-> ssh-ed25519 (?P<tag>[A-Za-z0-9+/]{6}) [A-Za-z0-9+/]{43}\n[A-Za-z0-9+/]{43}\n"
    rb"(?:-> [!-~]+(?: [!-~]+)*\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)?--- [A-Za-z0-9+/]{43}\n"
)
_TAG, _SHOWN = 4, 5
"""Bytes of a fingerprint that stand on an envelope, and how many of the letters there are the fingerprint's own."""

_PIECE = 65536
Write = Callable[[bytes], object]


def close(public_key: bytes, plain: Read, write: Write) -> None:
    """Encrypt what ``plain`` gives. Raises what the two raise."""
    ends = _Ends(plain, write)
    recipient = pyrage.ssh.Recipient.from_str(device.text(public_key))
    try:
        pyrage.encrypt_io(ends, ends, [recipient])
    except (pyrage.EncryptError, OSError) as error:
        raise ends.error or error from None
    ends.check()


def tag(public_key: bytes) -> str:
    """What stands on an envelope for this key."""
    return base64.b64encode(device.digest(public_key)[:_TAG]).decode().rstrip("=")


def open_with(private_key: bytes, public_key: bytes, source: Read, write: Write) -> None:
    """Decrypt with a device key, private as OpenSSH's text. Raises RejectedBundle for what is damaged or for another
    key, and what the two raise.

    What was written before it raised was not changed, and is not whole.
    """
    first = _first(source)
    match = _HEAD.match(first)
    if match is None:
        raise RejectedBundle("that is no bundle of cdc-sync, or it is damaged", hint=AGAIN)
    if match["tag"].decode() != tag(public_key):
        raise OtherKey(match["tag"].decode())
    ends = _Ends(frames.chunked(itertools.chain((first,), iter(partial(source, _PIECE), b""))), write)
    try:
        pyrage.decrypt_io(ends, ends, [pyrage.ssh.Identity.from_buffer(private_key)])
    except (pyrage.DecryptError, OSError):
        raise ends.error or RejectedBundle("the bundle was damaged or cut off on its way", hint=AGAIN) from None
    ends.check()


def shown(tag: str) -> str:
    """What a tag says of a fingerprint: its beginning."""
    return tag[:_SHOWN]


class OtherKey(RejectedBundle):
    """An envelope for another key, with this ``tag`` on it."""

    def __init__(self, tag: str) -> None:
        super().__init__(f"the bundle is for another key, SHA256:{shown(tag)}...", hint=AGAIN)
        self.tag = tag


class _Ends:
    """Both ends as pyrage wants them. It forgets which error was raised in them, or even that one was: it is kept."""

    def __init__(self, read: Read, write: Write) -> None:
        self._read, self._write = read, write
        self.error: Exception | None = None

    def read(self, most: int) -> bytes:
        try:
            return self._read(most)
        except Exception as error:
            self.error = error
            raise

    def write(self, data: bytes) -> int:
        try:
            self._write(data)
        except Exception as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def check(self) -> None:
        """Raise what an end raised: pyrage does not ask whether the last bytes were written."""
        if self.error is not None:
            raise self.error


def _first(source: Read) -> bytes:
    found = bytearray()
    while len(found) < _LARGEST_HEAD and (data := source(_LARGEST_HEAD - len(found))):
        found += data
    return bytes(found)
