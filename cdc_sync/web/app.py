"""The routes: who asks, what for, and the work handed to threads. Nothing here waits for a database or a disk."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cdc_sync import __version__
from cdc_sync.core import device, frames, talk, wire
from cdc_sync.core import receipts as core
from cdc_sync.core.flow import Reader
from cdc_sync.core.peers import Application
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.errors import CdcSyncError, Forbidden, RejectedBatch
from cdc_sync.web import answers, limits
from cdc_sync.web.answers import BadRequest, Unauthorized, Unknown
from cdc_sync.web.applier import Applier, Chain
from cdc_sync.web.description import OPERATIONS, description
from cdc_sync.web.desk import Desk, Place
from cdc_sync.web.incoming import Incoming
from cdc_sync.web.notices import Notices
from cdc_sync.web.sessions import Sessions, Who

THREADS = 6
"""Requests that are worked on at the same time. They and the applier share the database's connections."""

DOWNLOADS = 16
"""Batches that are fetched at the same time."""

OF_AN_ADDRESS = 10
"""How many nodes' requests come from one address at most: behind it there may be many of them."""

LONGEST_WAIT = 30.0
"""Seconds that an answer is kept back at most, where it is asked to wait for an application."""

LOOK = 5.0
"""Seconds between two looks while it is kept back: others may apply here too."""

_MOST = 2**62
Result = TypeVar("Result")
Handler = Callable[[Request], Awaitable[Response]]


class App:
    """One node's server, as ASGI."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sessions = Sessions()
        self.uploads = limits.Places(limits.UPLOADS, limits.UPLOADS_OF_ONE)
        self.streams = limits.Places(limits.STREAMS, 1, patience=0.0)
        self.notices = Notices()
        self.applier: Applier | None = None
        if desk.config.serve.apply:
            self.applier = Applier(desk.database, desk.config, self.notices.tell, desk.rest)
        a_minute = desk.config.serve.requests_a_minute
        self.of_nodes = limits.Rate(a_minute)
        self.of_addresses = limits.Rate(a_minute * OF_AN_ADDRESS)
        self.downloads = asyncio.Semaphore(DOWNLOADS)
        self.pool = ThreadPoolExecutor(THREADS, "request")
        self.asgi = Starlette(routes=list(self._routes()), lifespan=self._lifespan)
        self.asgi.add_exception_handler(HTTPException, self._no_such)

    def _routes(self) -> Iterator[Route]:
        handlers: Mapping[tuple[str, str], Handler] = {
            ("GET", "/v1/health"): self.health,
            ("GET", "/openapi.json"): self.openapi,
            ("POST", "/v1/challenge"): self.challenge,
            ("POST", "/v1/session"): self.session,
            ("POST", "/v1/enroll"): self.enrol,
            ("POST", "/v1/fit"): self.fit,
            ("PUT", "/v1/names"): self.names,
            ("GET", "/v1/positions"): self.positions,
            ("PUT", "/v1/batches/{origin}/{epoch}/{number}"): self.put_batch,
            ("GET", "/v1/batches/{origin}/{epoch}/{number}"): self.get_batch,
            ("PUT", "/v1/stream/{origin}/{epoch}/{number}"): self.put_stream,
            ("GET", "/v1/digests/{origin}/{epoch}/{number}"): self.digest,
            ("GET", "/v1/receipts"): self.receipts,
            ("POST", "/v1/receipts"): self.take_receipts,
            ("GET", "/v1/receipts/{origin}/{epoch}"): self.receipt,
        }
        for method, path in OPERATIONS:
            yield Route(path, self._guarded(handlers[method, path]), methods=[method])

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            address = request.client.host if request.client else ""
            try:
                self.of_addresses.take(limits.place(address))
                return await handler(request)
            except Exception as error:
                return answers.failed(error, self._called(request, address))

        return guarded

    def _called(self, request: Request, address: str) -> str:
        """Who asks, for the log."""
        who = self.sessions.who(_token(request))
        return f"node {who.node!r}" if who else f"somebody at {address}"

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.notices.begin(asyncio.get_running_loop())
        if self.applier:
            self.applier.start()
        try:
            yield
        finally:
            if self.applier:
                await asyncio.to_thread(self.applier.stop)
            self.pool.shutdown()

    async def _no_such(self, _: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        told = talk.Refusal(error="nothing is at this address", hint="see /openapi.json for what is")
        return answers.json(told, status, getattr(error, "headers", None))

    def stop(self) -> None:
        """Answer who waits for something to happen: it does not happen here any more."""
        self.notices.stop()

    async def work(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do what blocks in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, partial(work, *arguments))

    def who(self, request: Request) -> Who:
        """Raises Unauthorized for a request without a good token, and Busy for one too many."""
        who = self.sessions.who(_token(request))
        if who is None:
            raise Unauthorized("the session is over, or none was begun", hint="begin one: POST /v1/challenge")
        self.of_nodes.take(who.node)
        return who

    async def health(self, _: Request) -> Response:
        await self.work(self.desk.ready)
        return answers.json(talk.Health(node=self.desk.name, version=__version__))

    async def openapi(self, _: Request) -> Response:
        return answers.json(description())

    async def challenge(self, request: Request) -> Response:
        said = await _said(request, talk.Hello, limits.STRANGERS)
        _check_stranger(said.node, said.public_key, said.nonce)
        challenge = talk.challenge(self.desk.key, self.desk.name, said)
        self.sessions.ask(said, challenge)
        return answers.json(challenge)

    async def session(self, request: Request) -> Response:
        proof = await _said(request, talk.Proof, limits.STRANGERS)
        _check_stranger(proof.node, proof.public_key, proof.nonce)
        asked = self.sessions.asked(proof.nonce)
        if asked is None:
            raise Unauthorized("this challenge was not given, or is answered already", hint="ask for another one")
        talk.check_proof(*asked, proof)
        who = Who(node=proof.node, public_key=proof.public_key)
        await self.work(self.desk.peer, who)
        serve = self.desk.config.serve
        return answers.json(
            talk.Ticket(
                token=self.sessions.open(who),
                streams=serve.apply and self.desk.streams,
                largest_batch=self.desk.limits.batch,
                applies=serve.apply,
            )
        )

    async def enrol(self, request: Request) -> Response:
        application = await _said(request, Application, limits.STRANGERS)
        _check_stranger(application.name, application.public_key, b"n" * talk.NONCE)
        return answers.json(await self.work(self.desk.enrol, application))

    async def fit(self, request: Request) -> Response:
        who = self.who(request)
        return answers.json(await self.work(self.desk.fit, who, await _said(request, talk.Offer)))

    async def names(self, request: Request) -> Response:
        who = self.who(request)
        names = await _said(request, talk.Names)
        await self.work(self.desk.call, who, Renames(names.renames))
        return answers.json(names)

    async def positions(self, request: Request) -> Response:
        return answers.json(await self.work(self.desk.positions, self.who(request)))

    async def put_batch(self, request: Request) -> Response:
        who, place = self.who(request), _place(request)
        await self.work(self.desk.peer, who)
        most = self.desk.limits.batch + self.desk.limits.header
        if int(request.headers.get("content-length", "0")) > most:
            raise limits.too_large(most)
        async with self.uploads.place(who.node):
            with tempfile.SpooledTemporaryFile(limits.IN_MEMORY) as file:
                size = await limits.spool(request.receive, file, most)
                verdict = await self.work(self.desk.store, who, place, file, size)
        if self.applier:
            self.applier.wake(place[:2])
        return answers.json(talk.Stored(verdict=verdict))

    async def put_stream(self, request: Request) -> Response:
        """A batch while it is being sealed. Nothing of it is left where it does not go on at once to its end."""
        who, place = self.who(request), _place(request)
        await self.work(self.desk.peer, who)
        async with self.streams.place(who.node):
            incoming, reader = Incoming(self.desk, who, place), Reader()
            try:
                async for piece in limits.pieces(request.receive, limits.STREAM):
                    for message, data in reader.feed(piece):
                        await asyncio.to_thread(incoming.take, message, data)
                await asyncio.to_thread(incoming.finish, whole=reader.is_done)
            except CdcSyncError as error:
                response = answers.failed(error, f"node {who.node!r}")
                response.headers["connection"] = "close"
                return response
            finally:
                await asyncio.to_thread(incoming.close)
        return answers.json(talk.Stored(verdict="applied"))

    async def get_batch(self, request: Request) -> Response:
        who, place = self.who(request), _place(request)
        found = await self.work(self.desk.fetch, who, place)
        headers = {"content-length": str(frames.size(found.sealed, found.header))}
        pieces = frames.write(found.sealed, found.parts)
        return StreamingResponse(self._pieces(pieces), media_type=answers.BYTES, headers=headers)

    async def _pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        async with self.downloads:
            while (piece := await self.work(next, pieces, None)) is not None:
                yield piece

    async def digest(self, request: Request) -> Response:
        return answers.json(await self.work(self.desk.digest, self.who(request), _place(request)))

    async def receipts(self, request: Request) -> Response:
        return answers.json(await self.work(self.desk.receipts, self.who(request), "", ""))

    async def take_receipts(self, request: Request) -> Response:
        who = self.who(request)
        brought = await _said(request, list[Signed])
        return answers.json(await self.work(self.desk.take, who, tuple(brought)))

    async def receipt(self, request: Request) -> Response:
        """One chain's, kept back until everything of it is applied, where ``wait`` says for how many seconds."""
        who, chain = self.who(request), _chain(request)
        loop = asyncio.get_running_loop()
        wait = min(_number(request.query_params.get("wait", "0")), LONGEST_WAIT)
        until = loop.time() + wait
        if wait and self.applier:
            self.applier.nudge(chain)
        with self.notices.listening(chain) as moved:
            while True:
                moved.clear()
                found = await self.work(self.desk.receipts, who, *chain)
                trouble = self.applier.trouble(chain) if self.applier else None
                left = until - loop.time()
                if not self._is_awaited(found) or trouble or left <= 0 or self.notices.over:
                    return answers.json(replace(found, trouble=trouble))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(moved.wait(), min(left, LOOK))

    def _is_awaited(self, found: talk.Receipts) -> bool:
        """Whether something of the chain is still to be applied by this server."""
        receipt = core.read(found.receipts[0])
        return self.applier is not None and receipt.applied < receipt.stored


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


async def _said(request: Request, kind: type[Result], limit: int = limits.TALK) -> Result:
    """The request's JSON. Raises BadRequest, TooLarge and Slow."""
    data = await limits.body(request.receive, limit)
    try:
        return wire.from_json(data, kind, "the request")
    except RejectedBatch as error:
        raise BadRequest(str(error), hint=error.hint) from None


def _check_stranger(node: str, public_key: bytes, nonce: bytes) -> None:
    if not device.is_name(node):
        raise Forbidden("who asks has no name", hint="give the node a name under its [node]")
    if len(public_key) != 32 or len(nonce) != talk.NONCE:
        raise BadRequest("a key or a nonce is not as long as they are", hint="see /openapi.json")


def _chain(request: Request) -> Chain:
    origin, epoch = request.path_params["origin"], request.path_params["epoch"]
    if not (device.is_name(origin) and device.is_epoch(epoch)):
        raise Unknown("the address names no node, or no chain of one", hint="see /openapi.json")
    return origin, epoch


def _place(request: Request) -> Place:
    number = _number(request.path_params["number"])
    if number < 1:
        raise Unknown("batches are counted from 1", hint="see /openapi.json")
    return *_chain(request), number


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _MOST):
        raise BadRequest("a number is expected", hint="see /openapi.json")
    return int(text)
