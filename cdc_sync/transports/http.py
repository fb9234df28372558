"""A line to another node's ``cdc-sync serve``: requests, in a session of both device keys, over links that break.

Who answers is known by its device key, whatever its certificate says. What may pass is tried again, with jitter; every
refusal is an error of ours, with the reason that the other side gave. Nothing is lost by any of them.
"""

import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync.core import talk, wire
from cdc_sync.core.peers import changed_key
from cdc_sync.core.talk import Challenge, Refusal, Ticket
from cdc_sync.errors import (
    CdcSyncError,
    ConfigError,
    Forbidden,
    RejectedBatch,
    RejectedReceipt,
    SchemaMismatch,
    TooLarge,
    Unreachable,
)

TRIES = 5
"""Times that a request is made which a connection breaks, or a server cannot answer now."""

PAUSE = 0.2
"""Seconds of rest before the second try, twice as long before the next, each more or less: others try again too."""

PATIENCE = 60.0
"""Seconds for which a server is asked again that asks for a pause."""

CONNECT, TALK = 10.0, 120.0
"""Seconds in which a connection has to stand, and something has to be heard, or be taken, over it."""

ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that is no batch."""

_PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses after which it may be otherwise."""

_LONGEST_TEXT = 600
_KINDS = {kind.__name__: kind for kind in (Forbidden, TooLarge, RejectedBatch, RejectedReceipt, SchemaMismatch)}
_BY_STATUS: Mapping[int, type[CdcSyncError]] = {403: Forbidden, 409: RejectedBatch, 413: TooLarge}
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """Another node's server. ``where`` is what messages call it, ``key`` its public device key, empty if not known.

    ``ca``: certificates of who signed its own one, where that is nobody whom the machine trusts.
    """

    name: str
    url: str
    where: str
    key: bytes = b""
    ca: Path | None = None


class _Passing(CdcSyncError):
    """It may be otherwise in a moment; ``after`` are the seconds that the server asks to wait for."""

    def __init__(self, message: str, *, after: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after = after


class Line:
    """Requests to one server, over connections that are kept. Not for several threads at the same time."""

    knocks = TRIES
    """Times that a request is made as long as nobody has answered any."""

    def __init__(self, there: There, node: str, key: Ed25519PrivateKey) -> None:
        self.there = there
        self.node = node
        self.key = key
        self._ticket: Ticket | None = None
        self._client = httpx.Client(
            base_url=there.url.rstrip("/"),
            verify=_trusted(there) if there.url.startswith("https") else False,
            timeout=httpx.Timeout(TALK, connect=CONNECT),
            headers={"accept-encoding": "identity", "user-agent": "cdc-sync"},
            trust_env=not _is_here(there.url),
        )

    def close(self) -> None:
        self._client.close()

    @property
    def ticket(self) -> Ticket:
        """The session, begun where there is none. Raises what ``ask`` does."""
        return self._patiently(self._begun)

    def ask(self, method: str, path: str, kind: type[Answer], body: object = None, **query: object) -> Answer:
        """Ask, in a session. Raises Unreachable where nobody answers, and whatever the server refuses with."""
        return self._patiently(lambda: self._answered(method, path, kind, body, query))

    def ask_openly(self, method: str, path: str, kind: type[Answer], body: object = None) -> Answer:
        """Ask without a session: who answers is not known yet."""
        return self._patiently(lambda: self._once(method, path, kind, body))

    def send(
        self, path: str, size: int, pieces: Callable[[], Iterable[bytes]], kind: type[Answer], again: bool
    ) -> Answer:
        """Send so many bytes. ``again`` says whether ``pieces`` can be asked for them twice."""
        begun: list[bool] = []

        def once() -> Answer:
            if begun and not again:
                raise Unreachable(f"the connection to {self.there.where} broke", hint=_AGAIN)
            ticket = self._begun()
            begun.append(True)
            headers = {**_bearer(ticket), "content-length": str(size), "content-type": "application/octet-stream"}
            request = self._client.build_request("PUT", path, content=iter(pieces()), headers=headers)
            with self._sent(request) as response:
                return self._read(response, kind)

        return self._patiently(once)

    def stream(self, path: str, pieces: Iterator[bytes], kind: type[Answer]) -> Answer:
        """Send what comes piece by piece, once. From a thread of its own, in a session that was begun before."""
        headers = {**_bearer(self._begun()), "content-type": "application/octet-stream"}
        request = self._client.build_request("PUT", path, content=pieces, headers=headers)
        with self._sent(request) as response:
            return self._read(response, kind)

    def fetch(self, path: str, file: IO[bytes], limit: int) -> None:
        """Write an answer of so many bytes at most into a file, all of it."""

        def once() -> None:
            file.seek(0)
            file.truncate()
            request = self._client.build_request("GET", path, headers=_bearer(self._begun()))
            with self._sent(request) as response:
                self._check(response)
                for piece in _limited(response, limit):
                    _write(file, piece)

        self._patiently(once)

    def greet(self) -> Challenge:
        """Ask who answers; it has proved that it holds the key that it shows."""
        return self._patiently(self._greeted)[1]

    def _greeted(self) -> tuple[talk.Hello, Challenge]:
        said = talk.hello(self.key, self.node)
        answer = self._once("POST", "/v1/challenge", Challenge, said)
        talk.check_challenge(said, answer)
        return said, answer

    def _begun(self) -> Ticket:
        if self._ticket is None:
            said, answer = self._greeted()
            self._check_server(answer)
            proof = talk.prove(self.key, said, answer)
            self._ticket = self._once("POST", "/v1/session", Ticket, proof)
            self.knocks = TRIES
        return self._ticket

    def _check_server(self, answer: Challenge) -> None:
        """Raises Forbidden, before anything is told, where another one answers than the one that is known."""
        if answer.node != self.there.name:
            raise misnamed(self.there, answer.node)
        if answer.public_key != self.there.key:
            raise changed_key(self.there.name, answer.public_key, self.there.key)

    def _answered(
        self, method: str, path: str, kind: type[Answer], body: object, query: Mapping[str, object]
    ) -> Answer:
        return self._once(method, path, kind, body, headers=_bearer(self._begun()), query=query)

    def _once(
        self,
        method: str,
        path: str,
        kind: type[Answer],
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        content = None if body is None else wire.to_json(body)
        kinds = {"content-type": "application/json"} if body is not None else {}
        asked = {name: str(value) for name, value in (query or {}).items()}
        request = self._client.build_request(
            method, path, content=content, headers={**kinds, **(headers or {})}, params=asked or None
        )
        with self._sent(request) as response:
            return self._read(response, kind)

    @contextmanager
    def _sent(self, request: httpx.Request) -> Iterator[httpx.Response]:
        try:
            response = self._client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except (httpx.TransportError, httpx.StreamError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> CdcSyncError:
        where = self.there.where
        found: BaseException | None = error
        while found is not None and not isinstance(found, (ssl.SSLCertVerificationError, httpx.InvalidURL)):
            found = found.__cause__ or found.__context__
        if isinstance(found, ssl.SSLCertVerificationError):
            return ConfigError(
                f"the certificate of {where} is not trusted: {found.verify_message}",
                hint='name who signed it: ca = "ca.pem" beside the url; and check the date of this machine',
            )
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return _Passing(f"cannot connect to {where}: {_reason(error)}", hint=_CONNECT)
        if isinstance(error, (httpx.UnsupportedProtocol, httpx.ProxyError)):
            return ConfigError(f"{where} cannot be reached: {_reason(error)}", hint="check the url, and the proxy")
        return _Passing(f"the connection to {where} broke: {_reason(error)}", hint=_AGAIN)

    def _patiently(self, work: Callable[[], Answer]) -> Answer:
        tries, until = 0, time.monotonic() + PATIENCE
        while True:
            try:
                return work()
            except _Passing as error:
                tries += 0 if error.after else 1
                if tries >= self.knocks or time.monotonic() + error.after > until:
                    raise Unreachable(str(error), hint=error.hint) from None
                time.sleep(max(error.after, PAUSE * 2**tries) * random.uniform(0.5, 1.5))  # noqa: S311

    def _read(self, response: httpx.Response, kind: type[Answer]) -> Answer:
        self._check(response)
        data = b"".join(_limited(response, ANSWER))
        try:
            return wire.from_json(data, kind, "the answer")
        except RejectedBatch:
            raise CdcSyncError(
                f"{self.there.where} answers something that this cdc-sync does not understand",
                hint="check the url; upgrade cdc-sync on the older side",
            ) from None

    def _check(self, response: httpx.Response) -> None:
        """Raises what an answer refuses with."""
        status = response.status_code
        if status < 300:
            return
        told = _refusal(response)
        where = self.there.where
        if status == 401 and self._ticket is not None:
            self._ticket = None
            raise _Passing(f"{where} wants a new session", hint=_AGAIN)
        if status in _PASSING:
            said = plain(told.error) or f"it answers with status {status}"
            raise _Passing(f"{where} does not take it now: {said}", after=_after(response), hint=plain(told.hint))
        if not told.error:
            raise CdcSyncError(f"{where} answers with status {status}: it is no cdc-sync", hint="check the url")
        kind = _KINDS.get(told.kind) or _BY_STATUS.get(status, CdcSyncError)
        raise kind(f"{where} answers: {plain(told.error)}", hint=f"{self.there.name} says: {plain(told.hint)}")


_AGAIN = "it is tried again by itself; nothing is lost"
_CONNECT = "check the url and the network, and that cdc-sync serve runs there"


def misnamed(there: There, found: str) -> ConfigError:
    """Another node answers than the file says."""
    return ConfigError(
        f"{there.where}: who answers there is node {plain(found)!r}",
        hint=f'write name = "{plain(found)}" in the file, or another url',
    )


def _trusted(there: There) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=there.ca)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"{there.where}: ca cannot be read", hint="name a file of certificates in PEM that this user may read"
        ) from None


def _is_here(url: str) -> bool:
    """What stays on this machine goes through no proxy."""
    return httpx.URL(url).host in ("localhost", "127.0.0.1", "::1")


def _write(file: IO[bytes], piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise CdcSyncError(
            f"a batch cannot be kept for a moment: {error.strerror}", hint="make room in TMPDIR"
        ) from None


def _bearer(ticket: Ticket) -> dict[str, str]:
    return {"authorization": f"Bearer {ticket.token}"}


def _limited(response: httpx.Response, limit: int) -> Iterator[bytes]:
    size = 0
    for piece in response.iter_raw():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"an answer is larger than the {limit} bytes that are taken here", hint="check the url")
        yield piece


def _refusal(response: httpx.Response) -> Refusal:
    """What the server says; nothing where somebody else answers, such as a proxy."""
    try:
        return wire.from_json(b"".join(_limited(response, 64 * 1024)), Refusal, "the answer")
    except RejectedBatch:
        return Refusal(error="")


def _after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), PATIENCE) if text.isdigit() else 0.0


def plain(text: str) -> str:
    """What somebody else wrote, fit for a terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:_LONGEST_TEXT])


def _reason(error: Exception) -> str:
    """The system's own words for it, or the name of what happened."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__cause__ or found.__context__
    return plain(str(error)) or type(error).__name__
