"""cdc-sync as a DBA sets it up: a TOML file, installed triggers, and the ``replicate --once`` command."""

import json
from pathlib import Path

from cdc_sync import capture, config, databases, registry
from tests.benchmarks.measure import Finished, child


def configured(folder: Path, source: str, destination: str = "") -> Path:
    """Write the node's file into an empty folder; URLs as SQLAlchemy reads them."""
    lines = [
        f'[node]\nname = "benchmark"\ndatabase = {json.dumps(source)}',
        '[[tables]]\nname = "t"\nkey = ["id"]',
    ]
    if destination:
        lines.append(f'[[destinations]]\nname = "server"\nurl = {json.dumps(destination)}')
    path = folder / "cdc-sync.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return path


def install(path: Path) -> str:
    """Install the triggers; returns the name of the change table, within our schema or behind our prefix."""
    settings = config.load(path)
    with databases.connect(settings.node.database, settings.folder) as database:
        capture.install(database, settings, include_existing=False)
        with database.begin(databases.Mode.READ) as session:
            return registry.registered(session)["t"].change


def replicate(path: Path) -> Finished:
    """Drain with the command line, in a process of its own."""
    return child(["-m", "cdc_sync", "replicate", "--once", "--config", str(path)])
