"""cdc-sync as a DBA sets it up: a TOML file, installed triggers, and the ``replicate`` command."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cdc_sync import capture, config, databases, registry
from tests.benchmarks.added import VIEW_ALONE
from tests.benchmarks.measure import Finished, Process, child, started

ONE_TABLE: Mapping[str, Sequence[str]] = {"t": ("id",)}


def configured(
    folder: Path,
    source: str,
    destination: str = "",
    tables: Mapping[str, Sequence[str]] = ONE_TABLE,
    views: Mapping[str, Sequence[str]] = {},
) -> Path:
    """Write the node's file into an empty folder; URLs as SQLAlchemy reads them, tables with their natural keys."""
    lines = [f'[node]\nname = "benchmark"\ndatabase = {json.dumps(source)}']
    for of, named in (("tables", tables), ("views", views)):
        lines += [f'[[{of}]]\nname = "{name}"\nkey = {json.dumps(key)}' for name, key in named.items()]
    if destination:
        lines.append(f'[[destinations]]\nname = "server"\nurl = {json.dumps(destination)}')
    path = folder / "cdc-sync.toml"
    path.write_text("\n\n".join(lines) + "\n")
    return path


def viewed(folder: Path, source: str, variant: str) -> Path:
    """The file of a node with a view over t (``table.VIEW``): beside the table, or alone."""
    tables = {} if variant == VIEW_ALONE else ONE_TABLE
    return configured(folder, source, tables=tables, views={"v": ("id",)})


def install(path: Path) -> dict[str, str]:
    """Install the triggers; returns the names of the change tables, within our schema or behind our prefix."""
    settings = config.load(path)
    with databases.connect(settings.node.database, settings.folder) as database:
        capture.install(database, settings, include_existing=False)
        with database.begin(databases.Mode.READ) as session:
            return {name: entry.change for name, entry in registry.registered(session).items()}


def replicate(path: Path) -> Finished:
    """Drain with the command line, in a process of its own."""
    return child(["-m", "cdc_sync", "replicate", "--once", "--config", str(path)])


def profile(path: Path) -> dict[str, float]:
    """Drain with a clock on each room: seconds by room."""
    found: dict[str, float] = json.loads(child(["-m", "tests.benchmarks.profiled", str(path)]).printed)
    return found


@contextmanager
def daemon(path: Path) -> Iterator[Process]:
    """The replicator at work for as long as the block runs, in a process of its own."""
    with started(["-m", "cdc_sync", "replicate", "--config", str(path)]) as process:
        yield process
        process.interrupt()
