"""A clinic with a server on a real port, a laptop that goes there, and strangers who do as they like."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from cdc_sync.core import device, talk, wire
from cdc_sync.core.frames import write as framed
from cdc_sync.core.wire import Sealed
from cdc_sync.transports import http
from tests.batches import Maker
from tests.commands.conftest import run
from tests.conftest import Make
from tests.nodes import Side
from tests.serving import SUBJECT, Clinic, Served, enrol, laptop, section, serving, write


class Start:
    """Makes a clinic: ``kinds`` are the databases of its laptop and of its server."""

    def __init__(self, make_side: Make, folder: Path, stack: ExitStack) -> None:
        self.make_side = make_side
        self.folder = folder
        self.stack = stack

    def server(
        self, kind: str = "sqlite", *sections: str, node: str = "", schema: str = SUBJECT, **serve: object
    ) -> "At":
        side = self.make_side(kind, "target")
        side.script(schema)
        settings = section("[serve]", listen="127.0.0.1:0", **serve)
        return At(
            self.stack.enter_context(serving(write(self.folder, "community", side, settings, *sections, node=node))),
            side,
        )

    def __call__(self, kinds: str = "sqlite-sqlite", *options: str, enrolled: bool = True, **serve: object) -> Clinic:
        """A server, and a laptop that is enrolled there with these options."""
        kind, target = kinds.split("-")
        at, source = self.server(target, **serve), self.make_side(kind, "source")
        source.script(SUBJECT)
        clinic = Clinic(at.served, laptop(self.folder, source, at.served), source, at.side)
        if enrolled:
            enrol(at.served.config, clinic.config, *options)
        return clinic


@dataclass(frozen=True)
class At:
    """A server, and its database."""

    served: Served
    side: Side

    def enrolled(self, *options: str, name: str = "laptop") -> "Stranger":
        """A node without a database, which is enrolled."""
        maker = Maker(name)
        result = run("enroll", self.served.config, name, "--key", device.text(maker.public), *options)
        assert result.exit_code == 0, result.output
        return Stranger(self.served, maker)


@dataclass
class Stranger:
    """Requests of any kind to a server, with or without a session."""

    served: Served
    maker: Maker
    token: str = ""

    clients: ClassVar[list[httpx.Client]] = []

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.served.url, timeout=20, trust_env=False)
        self.clients.append(self.client)

    def ask(self, method: str, path: str, body: object = None, **options: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        content = body if isinstance(body, bytes) or body is None else wire.to_json(body)
        return self.client.request(method, path, content=content, headers=headers, **options)

    def challenge(self) -> tuple[talk.Hello, talk.Challenge]:
        said = talk.hello(self.maker.key, self.maker.name)
        return said, wire.from_json(self.ask("POST", "/v1/challenge", said).content, talk.Challenge, "")

    def log_in(self) -> "Stranger":
        answer = self.ask("POST", "/v1/session", talk.prove(self.maker.key, *self.challenge()))
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["token"]
        return self

    def put(self, sealed: Sealed, parts: list[bytes], **options: object) -> httpx.Response:
        header = wire.decode_header(sealed.header)
        path = f"/v1/batches/{header.node}/{header.epoch}/{header.number}"
        return self.ask("PUT", path, b"".join(framed(sealed, parts)), **options)


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """Asserts that the answer refuses, with a reason that names these words, and something to do about it."""
    assert answer.status_code == status, answer.text
    told = answer.json()
    for word in words:
        assert word in told["error"], told
    assert told["hint"], told


@pytest.fixture
def start(make_side: Make, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield Start(make_side, tmp_path, stack)
        while Stranger.clients:
            Stranger.clients.pop().close()


@pytest.fixture
def at(start: Start) -> At:
    return start.server()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(http, "PAUSE", 0.01)
