"""Laptops push to a community server over HTTP: real processes, links that break, and processes that are killed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from cdc_sync import config as configuration
from cdc_sync.config import Config
from cdc_sync.errors import CdcSyncError
from cdc_sync.transports import http
from tests.commands.conftest import PATIENCE, closed_port, run
from tests.conftest import Make
from tests.journeys.killed import Run, Runner
from tests.journeys.test_relay_flows import command, process
from tests.links import link
from tests.nodes import Shape, Side, compare, install, replicate, waiting
from tests.serving import code_for, enrol, section, serving, synced, write

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (
    id {pk}, day text not null, subject_id integer not null references subject (id), unique (subject_id, day)
);
"""
KEYS = {"subject": ["code"], "visit": ["subject_id", "day"]}
SHAPES = (Shape("subject", ("code",), ("note",)), Shape("visit", ("subject_id>subject.code", "day")))
BROKEN = 25 if settings().max_examples > 100 else 3
"""Journeys over links that break, and journeys in which somebody is killed."""


class Field:
    """A community server and laptops that go there; the server listens at a port that stays."""

    def __init__(self, make_side: Make, folder: Path, kind: str = "postgresql") -> None:
        self.make_side = make_side
        self.folder = folder
        self.port = closed_port()
        self.target = make_side(kind, "target")
        self.target.script(SCHEMA)
        listen = section("[serve]", listen=f"127.0.0.1:{self.port}", requests_a_minute=100_000)
        self.server = write(folder, "community", self.target, listen)

    def laptop(self, name: str, port: int = 0) -> tuple[Side, Config]:
        source = self.make_side("sqlite", name)
        source.script(SCHEMA)
        url = f"http://127.0.0.1:{port or self.port}"
        config = write(self.folder, name, source, synced(KEYS), section("[[destinations]]", name="community", url=url))
        install(config)
        return source, config


def enter(side: Side, prefix: str, count: int, first: int = 0) -> None:
    """Subjects with a visit each; and of those from before, some are changed and some go."""
    with side.transaction():
        for i in range(first, first + count):
            side.run("insert into subject (code, note) values (?, ?)", (f"{prefix}{i}", "x" * (i % 50)))
            side.run("insert into visit (day, subject_id) select '2026-01-01', max(id) from subject")
        side.run("update subject set note = 'seen' where code = ?", (f"{prefix}{first // 2}",))
        side.run(
            "delete from visit where subject_id in (select id from subject where code = ?)", (f"{prefix}{first // 3}",)
        )


def test_laptops_push_to_a_server_in_processes_of_their_own(make_side: Make, tmp_path: Path) -> None:
    field = Field(make_side, tmp_path)
    laptops = [field.laptop(f"laptop-{i}") for i in (1, 2)]
    with process("serve", field.server) as server:
        assert server.stdout is not None
        said = [server.stdout.readline(), server.stdout.readline()]
        assert said[0].startswith("node community: SHA256:")
        assert said[1] == f"listens at http://127.0.0.1:{field.port}\n"
        for i, (side, config) in enumerate(laptops, 1):
            enter(side, f"s{i}-", 20)
            enrol(field.server, config)
        with ThreadPoolExecutor() as pool:
            done = list(pool.map(lambda each: command("replicate --once", each[1]), laptops))
        assert [(each.returncode, each.stdout) for each in done] == [(0, "community: applied up to batch 1\n")] * 2
    assert server.returncode == 0, "it ends on SIGTERM as on its own"
    assert field.target.rows("select count(*) from subject") == [(40,)]
    assert run("status", laptops[0][1]).exit_code == 0


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried soon."""
    monkeypatch.setattr(http, "PAUSE", 0.01)
    monkeypatch.setattr(http, "TALK", 5.0)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_over_links_that_break_everything_arrives_once(make_side: Make, tmp_path: Path, kind: str) -> None:
    field = Field(make_side, tmp_path, kind)
    seed = random.randrange(2**32)
    with serving(field.server) as served, link(served.port, seed) as way:
        side, config = field.laptop("laptop", served.port)
        enrol(field.server, config)
        config.path.write_text(config.path.read_text().replace(str(served.port), str(way.port)))
        config = configuration.load(config.path)
        for i in count():
            enter(side, "s", 10, first=10 * i)
            persist(config)
            if i + 1 >= BROKEN and way.broken:
                break
            assert i < 10 * BROKEN, f"nothing broke with the seed {seed}"
        compare(side, field.target, *SHAPES)


def persist(config: Config) -> None:
    """Replicate until everything is applied, as somebody does over a bad line."""
    until = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < until:
        try:
            replicate(config)
        except CdcSyncError:
            continue
        if not waiting(config):
            return
    raise AssertionError("not everything arrived")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as running:
        yield running


def test_whoever_is_killed_at_whatever_moment_nothing_is_lost_or_doubled(
    make_side: Make, tmp_path: Path, runner: Runner
) -> None:
    field = Field(make_side, tmp_path)
    side, config = field.laptop("laptop")
    arguments = ("--config", str(config.path))
    server = begun(field)
    try:
        code = code_for(field.server, "laptop")
        assert run("enroll", config, "--with", code, "--at", "community").exit_code == 0
        for i in range(BROKEN):
            enter(side, "s", 10, first=10 * i)
            moment, number = random.choice(
                [("before", random.randint(1, 8)), ("after", random.randint(1, 8)), ("within", 300)]
            )
            if i % 2:
                dying = subprocess.Popen(
                    [sys.executable, "-m", "cdc_sync", "replicate", "--once", *arguments], stderr=subprocess.PIPE
                )
                time.sleep(random.uniform(0.5, 1.5))
                server.kill()
                server.communicate()
                server = begun(field)
                dying.communicate(timeout=2 * PATIENCE)
            else:
                runner.run(Run(moment, number, ["replicate", "--once", *arguments]))
            persist(config)
            compare(side, field.target, *SHAPES)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)


def begun(field: Field) -> subprocess.Popen[str]:
    """The server, once it listens."""
    line = [sys.executable, "-u", "-m", "cdc_sync", "serve", "--config", str(field.server.path)]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    assert [server.stdout.readline().split()[0] for _ in range(2)] == ["node", "listens"]
    return server
