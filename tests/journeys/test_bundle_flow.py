"""Files on a stick, between nodes that nothing else joins: each command a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import config as configuration
from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Shape, Side, compare, status, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    weight double precision, unique (subject_id, number));
"""
TABLES = {"subject": ["code"], "visit": ["subject_id", "number"]}
SHAPES = (
    Shape("subject", ("code",), ("note",)),
    Shape("visit", ("subject_id>subject.code", "number"), ("weight",)),
)


def command(text: str, config: Config, *options: str, code: int = 0) -> str:
    """A command in a process of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cdc_sync", *text.split(), "--config", str(config.path), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def reported(text: str, config: Config, *options: str, code: int = 0) -> Any:
    return json.loads(command(text, config, "--json", *options, code=code))


@dataclass
class Flow:
    """A node that writes, a node that receives, each known to the other by its key, and a stick."""

    giver: Config
    receiver: Config
    source: Side
    target: Side
    stick: Path

    def write(self, first: int, last: int) -> None:
        """Subjects, each with a visit."""
        for i in range(first, last + 1):
            self.source.run("insert into subject (code, note) values (?, ?)", (f"s{i}", f"note {i}"))
            self.source.run(
                "insert into visit (subject_id, number, weight) select id, ?, ? from subject where code = ?",
                (1, 50 + i / 10, f"s{i}"),
            )

    def export(self) -> Any:
        return reported("export", self.giver, "--to", str(self.stick))

    def bring_in(self, path: Path | None = None, code: int = 0) -> Any:
        return reported("import", self.receiver, str(path or self.stick), code=code)

    def bring_home(self) -> Any:
        return reported("import", self.giver, str(self.stick))

    def files(self, node: str) -> list[str]:
        return sorted(path.name for path in (self.stick / node).glob("*.cdcsync"))

    def waiting(self) -> int:
        """Changes in batches that are kept at the giver."""
        (there,) = status(self.giver).destinations
        return there.waiting_changes


Meet = Callable[[str, str], Flow]


@pytest.fixture
def meet(make_side: Make, tmp_path: Path) -> Meet:
    """``meet(source kind, target kind)``: a laptop and a server that exchanged their keys."""

    def make(source_kind: str, target_kind: str) -> Flow:
        source, target = make_side(source_kind, "source"), make_side(target_kind, "target")
        for side in (source, target):
            side.script(SCHEMA)
        target.run("insert into subject (id, code) values (500, 'server')")
        giver = write_config(tmp_path, "giver", source, {}, TABLES)
        receiver = write_config(tmp_path, "receiver", target, {}, {})
        key = json.loads(command("enroll --show --json", receiver))["public_key"]
        with giver.path.open("a") as file:
            file.write(f'\n[[destinations]]\nname = "receiver"\nkey = "{key}"\n')
        command("install-triggers", giver)
        own = json.loads(command("enroll --show --json", giver))["public_key"]
        command("enroll giver", receiver, "--key", own)
        stick = tmp_path / "stick"
        stick.mkdir()
        return Flow(configuration.load(giver.path), receiver, source, target, stick)

    return make


def test_rows_go_from_one_postgresql_to_the_other_in_a_file_and_the_receipt_comes_back_in_one(meet: Meet) -> None:
    flow = meet("postgresql", "postgresql")
    flow.write(1, 3)
    (written,) = flow.export()
    assert written["rows"] == 6
    assert flow.waiting() == 6, "writing a file is neither stored nor applied"
    report = flow.bring_in()
    assert [each["state"] for each in report["files"]] == ["stored"]
    assert report["applied"] == 1
    compare(flow.source, flow.target, *SHAPES, others={"subject": {("server",): (None,)}})
    assert flow.files("receiver") == [], "what is stored is moved away"
    assert flow.waiting() == 6, "nothing is let go before the receipt is back"
    assert [each["receipts"] for each in flow.bring_home()["files"]] == [1]
    assert flow.waiting() == 0
    assert flow.export() == [], "nothing waits"
