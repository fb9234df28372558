"""Over roads that break at any byte, between processes that die at any moment, everything arrives once."""

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa
from hypothesis import settings

from cdc_sync.config import Config
from tests.chaos import Proxy, proxy
from tests.commands.conftest import run
from tests.conftest import Make
from tests.journeys.killed import Run, Runner
from tests.nodes import Shape, Side, by_natural_key, compare, install, replicate, waiting, write_config
from tests.serving import section, synced, write

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, note text, unique (subject_id, number));
"""
TABLES = {"subject": ["code"], "visit": ["subject_id", "number"]}
SHAPES = (
    Shape("subject", ("code",), ("note",)),
    Shape("visit", ("subject_id>subject.code", "number"), ("note",)),
)
DEEP = settings.get_current_profile_name() == "deep"
RUNS = 100 if DEEP else 2
"""Times that a road is harmed, for each flow."""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What goes wrong when; the run's seed is told at its end."""
    return random.Random(f"{request.config.option.hypothesis_seed} {request.node.name}")


class Field:
    """Somebody who enters data: every kind of change, to rows of one's own."""

    def __init__(self, side: Side, name: str, chance: random.Random) -> None:
        self.side, self.name, self.chance, self.entered = side, name, chance, 0

    def work(self) -> None:
        with self.side.transaction():
            for _ in range(self.chance.choice((1, 2, 40))):
                self._enter()
            for _ in range(2):
                self._change(f"{self.name}-{self.chance.randint(1, self.entered)}")

    def _enter(self) -> None:
        self.entered += 1
        code, note = f"{self.name}-{self.entered}", self.chance.randbytes(30).hex()
        self.side.run("insert into subject (code, note) values (?, ?)", (code, note))
        insert = "insert into visit (subject_id, number, note) select id, ?, ? from subject where code = ?"
        for number in range(self.chance.randint(0, 2)):
            self.side.run(insert, (number, note, code))

    def _change(self, code: str) -> None:
        what = self.chance.choice(("update subject set note = ? where code = ?", "delete", "rename"))
        if what == "delete":
            self.side.run("delete from subject where code = ?", (code,))
        elif what == "rename":
            self.side.run("update subject set code = ? where code = ?", (f"{code}x", code))
        else:
            self.side.run(what, (self.chance.randbytes(20).hex(), code))


def attempt(runner: Runner, chance: random.Random, command: str, config: Config) -> None:
    """Run a command, which may be killed at any moment and may fail, but not by an error that is none of ours."""
    _, output = runner.run(
        Run("within", chance.choice((0, 0, chance.randint(1, 400))), [*command.split(), "--config", str(config.path)])
    )
    assert "Traceback" not in output, output


def behind(side: Side, harmed: Proxy) -> str:
    """The URL of a PostgreSQL database through a proxy."""
    url = sa.make_url(side.url).set(host="127.0.0.1", port=harmed.port)
    return url.difference_update_query(["host", "port"]).render_as_string(hide_password=False)


def socket_of(side: Side) -> tuple[str, int] | str:
    url = sa.make_url(side.url)
    host, port = str(url.query.get("host") or url.host), int(str(url.query.get("port") or url.port or 5432))
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_over_a_database_connection_that_breaks_everything_arrives_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random, kind: str
) -> None:
    source, target = make_side(kind, "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    field = Field(source, "laptop", chance)
    with proxy(socket_of(target), chance.randrange(2**32)) as road:
        config = write_config(tmp_path, "laptop", source, target, TABLES)
        install(config)
        text = config.path.read_text().replace(target.url, behind(target, road))
        config.path.write_text(text)
        for _ in range(RUNS):
            field.work()
            road.calm = False
            attempt(runner, chance, "replicate --once", config)
            field.work()
            road.calm = True
            replicate(config)
            for shape in SHAPES:
                compare(source, target, shape)
        assert road.harmed >= RUNS // 4


class Server:
    """``cdc-sync serve`` in a process of its own, which may be killed and comes again at the same port."""

    def __init__(self, config: Config, port: int) -> None:
        self.config, self.port = config, port
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def up(self) -> None:
        """Start it, where it is not at work."""
        if self.process is None:
            command = [sys.executable, "-m", "cdc_sync", "serve", "--config", str(self.config.path)]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(300):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                    return
                time.sleep(0.05)
            raise AssertionError("the server does not come up")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def killed_meanwhile(chance: random.Random, server: Server) -> Iterator[None]:
    """One time in ten the server is killed at some moment of the block, or right after it."""
    timer = threading.Timer(chance.random() / 3, server.kill if chance.random() < 0.1 else lambda: None)
    timer.start()
    yield
    timer.join()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def listening(port: int) -> str:
    return section("[serve]", listen=f"127.0.0.1:{port}", requests_a_minute=1_000_000)


def public(config: Config) -> str:
    """The node's public key, as ``enroll --show`` tells it."""
    result = run("enroll --show", config)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[1].strip()


def know(config: Config, *others: Config, relay: Sequence[Config] = ()) -> None:
    """Enrol others at a node, by their keys."""
    for other in others:
        options = ["--relay"] if other in relay else []
        result = run("enroll", config, other.node.name, "--key", public(other), *options)
        assert result.exit_code == 0, result.output


@contextmanager
def harmed(chance: random.Random, *ports: int) -> Iterator[list[Proxy]]:
    """A proxy before each of these ports."""
    with ExitStack() as stack:
        yield [stack.enter_context(proxy(("127.0.0.1", port), chance.randrange(2**32))) for port in ports]


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def settled(*sides: Side) -> bool:
    """Whether all hold the same rows."""
    try:
        for target in sides[1:]:
            compare(sides[0], target, *SHAPES)
    except AssertionError:
        return False
    return True


def settle(work: Callable[[], object], *sides: Side) -> None:
    """Do it until all hold the same rows, and a few times at most."""
    for _ in range(8):
        work()
        if settled(*sides):
            return
        time.sleep(0.1)
    compare(sides[0], sides[-1], *SHAPES)


def test_over_http_that_breaks_everything_arrives_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random
) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    port = free_port()
    community = write(tmp_path, "community", target, listening(port))
    with Server(community, port) as server, harmed(chance, port) as (road,):
        goal = section("[[destinations]]", name="community", url=url(road.port), key=public(community))
        laptop = write(tmp_path, "laptop", source, synced(TABLES), goal)
        install(laptop)
        know(community, laptop)
        field = Field(source, "laptop", chance)
        for _ in range(RUNS):
            field.work()
            road.calm = False
            with killed_meanwhile(chance, server):
                attempt(runner, chance, "replicate --once", laptop)
            field.work()
            road.calm = True
            server.up()
            settle(lambda: replicate(laptop), source, target)
        assert road.harmed >= RUNS // 4
        assert waiting(laptop) == 0


def test_through_a_middleman_whose_roads_break_everything_arrives_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random
) -> None:
    source, car, target = make_side("sqlite", "source"), make_side("sqlite", "car"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    here, there = free_port(), free_port()
    community = write(tmp_path, "community", target, listening(there))
    goal = section("[[destinations]]", name="community", key=public(community))
    laptop = write(tmp_path, "laptop", source, listening(here), synced(TABLES), goal)
    install(laptop)
    with (
        Server(community, there) as server,
        Server(laptop, here) as shelf,
        harmed(chance, here, there) as (near, far),
    ):
        driver = write(
            tmp_path,
            "driver",
            car,
            section("[[sources]]", name="laptop", url=url(near.port), key=public(laptop)),
            section("[[destinations]]", name="community", url=url(far.port), key=public(community)),
            node="relay = true",
        )
        know(community, laptop, driver, relay=[driver])
        know(laptop, driver, relay=[driver])
        know(driver, laptop)
        field = Field(source, "laptop", chance)
        for _ in range(RUNS):
            field.work()
            attempt(runner, chance, "replicate --once", laptop)
            near.calm = far.calm = False
            with killed_meanwhile(chance, chance.choice((server, shelf))):
                attempt(runner, chance, "replicate --once", driver)
            near.calm = far.calm = True
            server.up()
            shelf.up()
            settle(lambda: (replicate(laptop), replicate(driver)), source, target)
        assert near.harmed + far.harmed >= RUNS // 4
        settle(lambda: (replicate(driver), replicate(laptop)), source, target)
        assert waiting(laptop) == 0


def harm_file(path: Path, chance: random.Random) -> None:
    """What a bad stick does to a file."""
    data, at = path.read_bytes(), chance.randrange(path.stat().st_size)
    kind = chance.choice(("cut", "flip", "duplicate", "reorder"))
    if kind == "cut":
        data = data[:at]
    elif kind == "flip":
        data = data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    elif kind == "duplicate":
        data = data[:at] + data[at:] * 2
    else:
        data = data[at:] + data[:at]
    path.write_bytes(data)


def bundles(stick: Path) -> list[Path]:
    return [path for path in stick.rglob("*.cdcsync") if path.parent.name != "imported"]


def test_on_sticks_that_lose_bytes_and_come_in_any_order_everything_arrives_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random
) -> None:
    """Bundles are copied to several sticks; some copies are harmed; they are read in any order, some twice."""
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    central = write(tmp_path, "central", target)
    goal = section("[[destinations]]", name="central", key=public(central))
    community = write(tmp_path, "community", source, synced(TABLES), goal)
    install(community)
    know(central, community)
    field = Field(source, "community", chance)
    for i in range(RUNS):
        sticks = [tmp_path / f"stick-{i}-{n}" for n in range(2)]
        for stick in sticks:
            stick.mkdir()
            field.work()
            attempt(runner, chance, f"export --to {stick} --for central", community)
        for path in bundles(chance.choice(sticks)):
            harm_file(path, chance)
        for stick in chance.sample([*sticks, *sticks], 3):
            attempt(runner, chance, f"import {stick}", central)

        def by_hand(stick: Path = tmp_path / f"good-{i}") -> None:
            stick.mkdir(exist_ok=True)
            for command in (
                (f"export --to {stick} --for central", community),
                (f"import {stick}", central),
                (f"import {stick}", community),
            ):
                result = run(*command)
                assert result.exit_code in (0, 3), result.output

        settle(by_hand, source, target)
        assert waiting(community) == 0


def test_by_stick_and_by_http_the_same_batches_arrive_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random
) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    port = free_port()
    community = write(tmp_path, "community", target, listening(port))
    with Server(community, port) as server, harmed(chance, port) as (road,):
        goal = section("[[destinations]]", name="community", url=url(road.port), key=public(community))
        laptop = write(tmp_path, "laptop", source, synced(TABLES), goal)
        install(laptop)
        know(community, laptop)
        field = Field(source, "laptop", chance)
        for i in range(RUNS):
            stick = tmp_path / f"stick-{i}"
            stick.mkdir()
            field.work()
            attempt(runner, chance, f"export --to {stick} --for community", laptop)
            road.calm = False
            steps = [("replicate --once", laptop), (f"import {stick}", community)]
            for command, config in chance.sample(steps, 2):
                attempt(runner, chance, command, config)
            road.calm = True
            server.up()
            settle(lambda: replicate(laptop), source, target)
            attempt(runner, chance, f"import {stick}", community)
        settle(lambda: replicate(laptop), source, target)
        assert waiting(laptop) == 0


def test_over_four_tiers_that_break_everything_arrives_once(
    make_side: Make, tmp_path: Path, runner: Runner, chance: random.Random
) -> None:
    """Two laptops, a driver, a community server and a central one: the centre holds what both laptops hold."""
    sides = {name: make_side("sqlite", name) for name in ("one", "two", "car")}
    sides |= {name: make_side("postgresql", name) for name in ("clinic", "centre")}
    for name in ("one", "two", "clinic", "centre"):
        sides[name].script(SCHEMA)
    ports = [free_port() for _ in range(4)]
    central = write(tmp_path, "central", sides["centre"], listening(ports[3]))
    with harmed(chance, *ports) as roads, ExitStack() as stack:
        up = section("[[destinations]]", name="central", url=url(roads[3].port), key=public(central))
        community = write(
            tmp_path, "community", sides["clinic"], listening(ports[2]), up, node="relay = true\napply = true"
        )
        goal = section("[[destinations]]", name="community", key=public(community))
        laptops = []
        for name, port in (("one", ports[0]), ("two", ports[1])):
            laptops.append(write(tmp_path, f"laptop-{name}", sides[name], listening(port), synced(TABLES), goal))
            install(laptops[-1])
        driver = write(
            tmp_path,
            "driver",
            sides["car"],
            *(
                section("[[sources]]", name=laptop.node.name, url=url(road.port), key=public(laptop))
                for laptop, road in zip(laptops, roads, strict=False)
            ),
            section("[[destinations]]", name="community", url=url(roads[2].port), key=public(community)),
            node="relay = true",
        )
        know(central, *laptops, community, relay=[community])
        know(community, *laptops, driver, relay=[driver])
        know(driver, *laptops)
        for laptop in laptops:
            know(laptop, driver, relay=[driver])
        nodes = zip([*laptops, community, central], ports, strict=True)
        servers = [stack.enter_context(Server(config, port)) for config, port in nodes]
        fields = [Field(sides[name], name, chance) for name in ("one", "two")]

        def travel() -> None:
            for config in (*laptops, driver, community):
                replicate(config)

        for road in roads:
            road.calm = True

        def whole(side: Side) -> list[Any]:
            return [sorted(by_natural_key(side, shape).items()) for shape in SHAPES]

        for _ in range(RUNS):
            for field in fields:
                field.work()
            harmful = chance.choice(roads)
            harmful.calm = False
            with killed_meanwhile(chance, chance.choice(servers)):
                for config in (*laptops, driver, community):
                    attempt(runner, chance, "replicate --once", config)
            harmful.calm = True
            for server in servers:
                server.up()
            wanted = [sorted(a + b) for a, b in zip(whole(sides["one"]), whole(sides["two"]), strict=True)]
            for _ in range(8):
                travel()
                if whole(sides["centre"]) == wanted:
                    break
                time.sleep(0.1)
            assert whole(sides["centre"]) == whole(sides["clinic"]) == wanted
        for _ in range(3):
            travel()
        assert [waiting(laptop) for laptop in laptops] == [0, 0]
