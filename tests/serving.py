"""Servers for tests: ``cdc-sync serve`` in a thread of this process, on a real port, and nodes that go there."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cdc_sync import config as configuration
from cdc_sync import web
from cdc_sync.config import Config
from cdc_sync.web.server import Server
from tests.commands.conftest import run
from tests.nodes import Side, Tables, install

SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"
KEYS = {"subject": ["code"]}


@dataclass(frozen=True)
class Served:
    """A server at work; ``said`` is what it said at its start."""

    config: Config
    server: Server
    port: int
    said: list[str]

    @property
    def url(self) -> str:
        scheme = "http" if self.config.serve.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"


def write(folder: Path, name: str, side: Side, *sections: str, node: str = "") -> Config:
    """A node's file; ``node`` are further lines of [node]."""
    lines = ["[node]", f"name = {json.dumps(name)}", f"database = {json.dumps(side.url)}", node, *sections]
    path = folder / f"node-{name}" / "cdc-sync.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return configuration.load(path)


def synced(tables: Tables) -> str:
    """The sections of some tables."""
    entries = {table: entry if isinstance(entry, Mapping) else {"key": entry} for table, entry in tables.items()}
    return "\n".join(
        line
        for table, entry in entries.items()
        for line in (
            "[[tables]]",
            f"name = {json.dumps(table)}",
            *(f"{key} = {_toml(item)}" for key, item in entry.items()),
        )
    )


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items()) + " }"
    return json.dumps(list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value)


def section(name: str, /, **entries: object) -> str:
    """A section of a file; ``name`` has its brackets."""
    return "\n".join((name, *(f"{key} = {json.dumps(value)}" for key, value in entries.items())))


@contextmanager
def serving(config: Config) -> Iterator[Served]:
    """What ``cdc-sync serve`` does, until the block ends."""
    said: list[str] = []
    begun: list[tuple[Server, int]] = []
    ready, failed = threading.Event(), []

    def begin(server: Server, port: int) -> None:
        begun.append((server, port))
        ready.set()

    def work() -> None:
        try:
            web.serve(config, said.append, begin)
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(20)
    if failed:
        thread.join()
        raise failed[0]
    server, port = begun[0]
    try:
        yield Served(config, server, port, said)
    finally:
        while not hasattr(server, "loop"):
            threading.Event().wait(0.01)
        server.loop.call_soon_threadsafe(server.end)
        thread.join(30)
        assert not thread.is_alive(), "the server did not end"
        if failed:
            raise failed[0]


@dataclass(frozen=True)
class Clinic:
    """A server, and a laptop that goes there; both have a table ``subject``."""

    served: Served
    config: Config
    source: Side
    target: Side

    def add(self, *codes: str) -> None:
        for code in codes:
            self.source.run("insert into subject (code) values (?)", (code,))

    def arrived(self) -> list[str]:
        return [code for (code,) in self.target.rows("select code from subject order by code")]


def laptop(
    folder: Path, source: Side, served: Served, name: str = "laptop", tables: Tables = KEYS, **entry: object
) -> Config:
    """A node whose only destination is the server; its triggers are installed."""
    goal = section("[[destinations]]", name=served.config.node.name, url=served.url, **entry)
    config = write(folder, name, source, synced(tables), goal)
    install(config)
    return config


def code_for(server: Config, name: str, *options: str) -> str:
    """The one-time code that the server's DBA makes."""
    result = run("enroll", server, name, *options)
    assert result.exit_code == 0, result.output
    return result.stdout.split("--with ")[1].split()[0]


def enrol(server: Config, node: Config, *options: str) -> None:
    """What both DBAs type."""
    result = run("enroll", node, "--with", code_for(server, node.node.name, *options), "--at", server.node.name)
    assert result.exit_code == 0, result.output + result.stderr
