"""A node that writes, a node that receives, and a stick between them: nothing else joins the two."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cdc_sync import cli
from cdc_sync import config as configuration
from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Row, Shape, Side, install, status, write_config

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
OWN: dict[str, dict[Row, Row]] = {"subject": {("server",): (None,)}}
"""What the receiver has of its own."""

Said = tuple[int, str, str]
"""An exit code, and what was printed and complained."""

Run = Callable[..., Said]


def here(*arguments: str) -> Said:
    """A command in this process."""
    result = CliRunner().invoke(cli.main, arguments)
    return result.exit_code, result.stdout, result.stderr


def apart(*arguments: str, before: str = "") -> Said:
    """A command in a process of its own, to which something happens first; negative codes are signals."""
    main = f"{before}\nimport sys\nfrom cdc_sync.__main__ import main\nsys.argv[0] = 'cdc-sync'\nmain()"
    done = subprocess.run([sys.executable, "-c", main, *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@dataclass
class Flow:
    """Each node knows the other by its key. ``run`` is how commands are run."""

    run: Run
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

    def say(self, config: Config, *arguments: str, code: int = 0) -> str:
        """A command of a node, and all that it says."""
        ended, printed, complained = self.run(*arguments, "--config", str(config.path))
        assert ended == code, printed + complained
        return printed + complained

    def export(self, to: Path | None = None) -> Any:
        return json.loads(self.say(self.giver, "export", "--json", "--to", str(to or self.stick)))

    def bring_in(self, path: Path | None = None) -> Any:
        return json.loads(self.say(self.receiver, "import", "--json", str(path or self.stick)))

    def bring_home(self) -> Any:
        return json.loads(self.say(self.giver, "import", "--json", str(self.stick)))

    def files(self, node: str) -> list[str]:
        return sorted(path.name for path in (self.stick / node).glob("*.cdcsync"))

    def waiting(self) -> int:
        """Changes in batches that are kept at the giver."""
        (there,) = status(self.giver).destinations
        return there.waiting_changes


def meet(make_side: Make, folder: Path, source_kind: str, target_kind: str, run: Run = here) -> Flow:
    """Two nodes that exchanged their keys."""
    source, target = make_side(source_kind, "source"), make_side(target_kind, "target")
    for side in (source, target):
        side.script(SCHEMA)
    target.run("insert into subject (id, code) values (500, 'server')")
    giver = write_config(folder, "giver", source, {}, TABLES)
    receiver = write_config(folder, "receiver", target, {}, {})
    with giver.path.open("a") as file:
        file.write(f'\n[[destinations]]\nname = "receiver"\nkey = "{key_of(receiver)}"\n')
    install(giver)
    code, *said = here("enroll", "giver", "--config", str(receiver.path), "--key", key_of(giver))
    assert code == 0, said
    stick = folder / "stick"
    stick.mkdir()
    return Flow(run, configuration.load(giver.path), receiver, source, target, stick)


def key_of(config: Config) -> str:
    """A node's public key."""
    _, printed, _ = here("enroll", "--show", "--json", "--config", str(config.path))
    return str(json.loads(printed)["public_key"])
