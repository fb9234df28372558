"""Who is at the other end: challenges and tokens, in memory only. A server that starts anew asks everybody again."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cdc_sync.core.talk import Challenge, Hello

IDLE = 600.0
"""Seconds for which a token is good after it was used last."""

ANSWERED = 30.0
"""Seconds within which a challenge is to be answered."""

CHALLENGES = 2_000
"""Challenges that wait for an answer at most; the oldest is forgotten."""

TOKENS = 10_000
"""Tokens at most; the one that rested longest is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A node that has proved who it is."""

    node: str
    public_key: bytes


class Sessions:
    """Not for several threads: the event loop owns it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked: OrderedDict[bytes, tuple[float, Hello, Challenge]] = OrderedDict()
        self._tokens: OrderedDict[bytes, tuple[float, Who]] = OrderedDict()

    def ask(self, said: Hello, challenge: Challenge) -> None:
        """Remember a challenge until it is answered."""
        self._asked[challenge.nonce] = (self._now(), said, challenge)
        while len(self._asked) > CHALLENGES:
            self._asked.popitem(last=False)

    def asked(self, nonce: bytes) -> tuple[Hello, Challenge] | None:
        """The challenge with this nonce, once; None where there is none, or it was too long ago."""
        at, said, challenge = self._asked.pop(nonce, (float("-inf"), None, None))
        if said is None or challenge is None or self._now() > at + ANSWERED:
            return None
        return said, challenge

    def open(self, who: Who) -> str:
        """A token for a node that has proved who it is."""
        token = secrets.token_urlsafe(32)
        self._tokens[_digest(token)] = (self._now(), who)
        while len(self._tokens) > TOKENS:
            self._tokens.popitem(last=False)
        return token

    def who(self, token: str) -> Who | None:
        """Whose token it is; None where it is nobody's, or has rested too long."""
        digest = _digest(token)
        at, who = self._tokens.pop(digest, (float("-inf"), None))
        if who is None or self._now() > at + IDLE:
            return None
        self._tokens[digest] = (self._now(), who)
        return who

    def end(self, node: str) -> None:
        """A node's tokens are good for nothing from now on."""
        for digest in [digest for digest, (_, who) in self._tokens.items() if who.node == node]:
            del self._tokens[digest]


def _digest(token: str) -> bytes:
    """What is kept of a token: memory that is written out or dumped tells nobody how to be somebody else."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
