"""The middleman's flows over real ports: fetched from laptops, carried, pushed, receipts home.

Those of the field are played by processes; what is refused on the way needs none.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cdc_sync import databases, peers
from cdc_sync.config import Config
from cdc_sync.core import chain, device
from cdc_sync.databases import Mode
from tests.commands.conftest import PATIENCE, eventually, run
from tests.conftest import Make
from tests.journeys.test_relay import KEYS, SCHEMA, carried, chain_of, enter, kept, public, visits
from tests.nodes import Side, install
from tests.serving import section, synced, write
from tests.serving import serving as serving_here

LISTEN = section("[serve]", listen="127.0.0.1:0")


def command(text: str, config: Config, *options: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    line = [sys.executable, "-m", "cdc_sync", *text.split(), "--config", str(config.path), *options]
    return subprocess.run(line, capture_output=True, text=True, timeout=120)


def succeeded(text: str, config: Config, *options: str) -> str:
    done = run(text, config, *options)
    assert done.exit_code == 0, done.output + done.stderr
    return done.stdout


@contextmanager
def process(text: str, config: Config) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until the block ends; it must end when told."""
    line = [sys.executable, "-u", "-m", "cdc_sync", *text.split(), "--config", str(config.path)]
    said = config.folder / f"{text.split()[0]}.log"
    with said.open("a", encoding="utf-8") as log:
        running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.communicate(timeout=PATIENCE)
        finally:
            running.kill()
            running.wait()
        assert "Traceback" not in said.read_text(encoding="utf-8")


@contextmanager
def serving(config: Config) -> Iterator[str]:
    """``cdc-sync serve`` as a process of its own; its URL."""
    with process("serve", config) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "listens at " in line:
                break
        else:
            raise AssertionError((config.folder / "serve.log").read_text(encoding="utf-8"))
        threading.Thread(target=running.stdout.read, daemon=True).start()
        yield line.split("listens at ")[1].strip()


def known(config: Config, *others: tuple[Config, tuple[str, ...]]) -> None:
    """Enrol nodes by their public keys, as their DBAs tell them."""
    for other, options in others:
        result = run(f"enroll {other.node.name}", config, "--key", public(other), *options)
        assert result.exit_code == 0, result.output


RELAY = ("--relay",)


class Field:
    """A laptop that is fetched from, a driver, and a community server; ``finals`` are who the laptop waits for."""

    def __init__(self, make_side: Make, folder: Path, kinds: tuple[str, str, str]) -> None:
        self.make_side, self.folder = make_side, folder
        self.side, self.car, self.clinic = (
            make_side(kind, name) for kind, name in zip(kinds, ("laptop", "car", "clinic"), strict=True)
        )
        for side in (self.side, self.clinic):
            side.script(SCHEMA)
        self.community = write(folder, "community", self.clinic, LISTEN)
        self.driver = write(folder, "driver", self.car, node="relay = true")
        goal = section("[[destinations]]", name="community", key=public(self.community))
        self.laptop = self.new_laptop("laptop", self.side, goal)
        known(self.community, (self.driver, RELAY), (self.laptop, ()))
        known(self.laptop, (self.driver, RELAY))

    def new_laptop(self, name: str, side: Side, *sections: str) -> Config:
        config = write(self.folder, name, side, synced(KEYS), LISTEN, *sections)
        install(config)
        return config

    def drive(self, source: tuple[Config, str] | None = None, community: str = "http://127.0.0.1:9") -> Config:
        """The driver's file, now that it is somewhere: which laptop it reaches, and where the server is."""
        url = {"url": community} if community else {}
        goal = section("[[destinations]]", name="community", key=public(self.community), **url)
        met = [section("[[sources]]", name=c.node.name, url=url, key=public(c)) for c, url in filter(None, [source])]
        return write(self.folder, "driver", self.car, goal, *met, node="relay = true")


def test_a_driver_fetches_from_a_laptop_shows_what_it_carries_and_pushes_it(make_side: Make, tmp_path: Path) -> None:
    field = Field(make_side, tmp_path, ("sqlite", "sqlite", "postgresql"))
    enter(field.side, "s1")
    succeeded("replicate --once", field.laptop)
    sealed = carried(field.laptop, field.laptop)
    with serving(field.laptop) as there:
        away = command("replicate --once", field.drive((field.laptop, there)))
    assert "laptop: fetched 1 batch of laptop" in away.stdout
    assert (away.returncode, "cannot connect to destination 'community'" in away.stderr) == (2, True), away.stderr
    assert carried(field.driver, field.laptop) == sealed, "the driver changed bytes"
    assert kept(field.laptop) == 3

    (shown,) = json.loads(succeeded("inspect --json", field.driver))
    assert (shown["origin"], shown["tables"]) == ("laptop", {"subject": {"insert": 1}, "visit": {"insert": 2}})
    scanned = field.folder / "scanned.txt"
    scanned.write_text("s1\ns2\n")
    different = run(f"inspect subject.code --json --reconcile {scanned}", field.driver)
    assert (different.exit_code, json.loads(different.stdout)["unexpected"]) == (3, ["s2"])

    with serving(field.community) as there:
        pushed = command("replicate --once", field.drive(community=there))
    assert pushed.returncode == 0, pushed.stderr
    assert "community: laptop applied up to batch 1" in pushed.stdout
    assert visits(field.clinic) == [("s1", 1), ("s1", 2)]
    assert carried(field.driver, field.laptop) == []
    with serving_here(field.laptop) as there:
        run("replicate --once", field.drive((field.laptop, there.url), community=""))
    assert kept(field.laptop) == 0, "the receipt was handed over"


def test_where_both_are_in_reach_one_run_fetches_pushes_and_brings_the_receipt_home(
    make_side: Make, tmp_path: Path
) -> None:
    field = Field(make_side, tmp_path, ("postgresql", "postgresql", "sqlite"))
    enter(field.side, "s1")
    succeeded("replicate --once", field.laptop)
    with serving_here(field.laptop) as source, serving_here(field.community) as goal:
        said = succeeded("replicate --once", field.drive((field.laptop, source.url), goal.url))
        assert said.splitlines() == ["laptop: fetched 1 batch of laptop", "community: laptop applied up to batch 1"]
    assert visits(field.clinic) == visits(field.side)
    assert kept(field.laptop) == 0


def test_a_driver_that_is_enrolled_nowhere_as_a_relay_gets_nothing_and_brings_nothing(
    make_side: Make, tmp_path: Path
) -> None:
    field = Field(make_side, tmp_path, ("sqlite", "postgresql", "sqlite"))
    enter(field.side, "s1")
    succeeded("replicate --once", field.laptop)
    known(field.laptop, (field.driver, ()))
    with serving_here(field.laptop) as source, serving_here(field.community) as goal:
        driver = field.drive((field.laptop, source.url), goal.url)
        run("replicate --once", driver)
        assert carried(driver, field.laptop) == []
        known(field.laptop, (driver, RELAY))
        known(field.community, (driver, ()))
        for _ in range(2):
            refused = run("replicate --once", driver)
            assert refused.exit_code == 1
            assert "may not" in refused.stderr
            assert len(carried(driver, field.laptop)) == 1
        assert field.clinic.rows("select count(*) from subject") == [(0,)]
        status = run("status", driver)
        assert status.exit_code == 3
        assert "may not" in status.stdout
        assert "nothing was deleted" in status.stdout
        known(field.community, (driver, RELAY))
        succeeded("replicate --once", driver)
    assert visits(field.clinic) == visits(field.side)


def test_four_tiers_at_once(make_side: Make, tmp_path: Path) -> None:
    """One laptop is fetched from, one pushes to the driver, one to the server; all processes run side by side."""
    field = Field(make_side, tmp_path, ("sqlite", "sqlite", "postgresql"))
    centre, two, three = (
        make_side("postgresql", "centre"),
        make_side("sqlite", "laptop-2"),
        make_side("sqlite", "laptop-3"),
    )
    for side in (centre, two, three):
        side.script(SCHEMA)
    central = write(tmp_path, "central", centre, LISTEN)
    finals = [
        section("[[destinations]]", name=config.node.name, key=public(config)) for config in (field.community, central)
    ]
    with ExitStack() as stack:
        goal = section(
            "[[destinations]]", name="central", url=stack.enter_context(serving(central)), key=public(central)
        )
        field.community = write(tmp_path, "community", field.clinic, LISTEN, goal, node="relay = true\napply = true")
        known(central, (field.community, RELAY))
        clinic_url = stack.enter_context(serving(field.community))
        laptop = field.new_laptop("laptop", field.side, *finals)
        laptop_url = stack.enter_context(serving(laptop))
        driver = field.drive((laptop, laptop_url), clinic_url)
        driver.path.write_text(driver.path.read_text() + LISTEN + "\n")
        car_url = stack.enter_context(serving(driver))
        by_driver = section("[[destinations]]", name="driver", url=car_url, key=public(driver), final=False)
        by_web = finals[0].replace("key =", f'url = "{clinic_url}"\nkey =')
        pushes = field.new_laptop("laptop-2", two, by_driver, *finals)
        straight = field.new_laptop("laptop-3", three, by_web, finals[1])
        laptops, sides = (laptop, pushes, straight), (field.side, two, three)
        for config in laptops:
            known(field.community, (config, ()))
            known(central, (config, ()))
        known(driver, (pushes, ()), (laptop, ()))
        for config in (*laptops, driver, field.community):
            stack.enter_context(process("replicate", config))
        for number in range(1, 4):
            for i, side in enumerate(sides, 1):
                enter(side, f"s{i}.{number}", number)
        expected = sorted(visit for side in sides for visit in visits(side))
        eventually(lambda: visits(centre) == expected, f"not everything arrived: {tmp_path}", patience=60)
        assert visits(field.clinic) == expected
        eventually(lambda: not any(map(kept, laptops)), "receipts did not come home", patience=90)
        eventually(lambda: not any(carried(driver, config) for config in laptops), "the driver keeps what is applied")
    _signed_at(central, *laptops)


def _signed_at(config: Config, *origins: Config) -> None:
    """Every batch there is its origin's, by its signature."""
    with databases.connect(config.node.database, config.folder) as database, database.begin(Mode.READ) as session:
        assert {(row[0], row[1]) for row in session.run("positions")} == {chain_of(origin) for origin in origins}
        for origin in origins:
            peer = peers.find(session, origin.node.name)
            assert peer is not None
            assert device.text(peer.public_key, origin.node.name) == public(origin)
    prefix = "cdc_sync." if config.node.database.startswith("postgresql") else "cdc_sync_"
    side = Side("postgresql" if prefix.endswith(".") else "sqlite", config.node.database, config.folder)
    rows = side.rows(
        f"select origin, header, signature, public_key from {prefix}inbox join {prefix}peer on name = origin"
    )
    side.close()
    assert rows
    for name, header, signature, key in rows:
        sealed = chain.Sealed(header=bytes(header), signature=bytes(signature), public_key=bytes(key))
        chain.verify(sealed, name, bytes(key))
