"""Where the story takes place: a folder with two laptops and a server, each a SQLite file of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdc_sync import capture, config, databases, identity, loop, ship
from cdc_sync.config import Config
from cdc_sync.core import chain
from cdc_sync.core.wire import Header, Sealed, decode_header
from cdc_sync.databases import Mode, sqlfiles
from cdc_sync.demo.comparison import Row
from cdc_sync.errors import ConfigError

LAPTOPS = ("laptop-01", "laptop-02")
SERVER = "community"

KEY_LENGTHS = {"subject": 1, "subject_visit": 2, "specimen_requisition": 3}
"""Synced tables, parents first; how many columns after the id are the natural key in ``sql/demo/rows_<table>.sql``."""

_TOML = """\
[node]
name = "{laptop}"
database = "sqlite:///{laptop}.db"

[[tables]]
name = "subject"
key = ["subject_identifier"]

[[tables]]
name = "subject_visit"
key = ["subject_id", "visit_code"]

[[tables]]
name = "specimen_requisition"
key = ["subject_visit_id", "panel"]

[[destinations]]
name = "{server}"
url = "sqlite:///{server}.db"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One database of the story."""

    name: str
    url: str
    folder: Path

    def run(self, script: str) -> None:
        """Run ``sql/demo/<script>.sql``, all or nothing."""
        with databases.connect(self.url, self.folder) as database, database.begin(Mode.WRITE) as session:
            session.script(sqlfiles.read("demo", script))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of ``sql/demo/<query>.sql``."""
        with databases.connect(self.url, self.folder) as database, database.begin(Mode.READ) as session:
            return [tuple(row) for row in session.connection.exec_driver_sql(sqlfiles.read("demo", query))]

    def rows(self) -> list[Row]:
        """Every row of every synced table, parents first."""
        return [
            Row(table=table, id=row[0], key=row[1 : 1 + length], values=row[1 + length :])
            for table, length in KEY_LENGTHS.items()
            for row in self.ask(f"rows_{table}")
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Laptop(Place):
    """A laptop, and the configuration that its DBA wrote."""

    config: Config

    def install(self) -> None:
        """What ``cdc-sync install-triggers`` does."""
        with databases.connect(self.url, self.folder) as database:
            capture.install(database, self.config, include_existing=False)

    def replicate(self) -> None:
        """What ``cdc-sync replicate --once`` does."""
        loop.drain(self.config, ship.Progress())


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everybody who takes part."""

    folder: Path
    laptops: tuple[Laptop, ...]
    server: Place

    def batches(self) -> list[tuple[Header, int]]:
        """Every batch in the server's inbox, with its size in bytes, header and signature included.

        Raises RejectedBatch for one that was not signed with the key in its laptop's own key file.
        """
        keys = {laptop.name: identity.load(laptop.config.key_path).public_key() for laptop in self.laptops}
        found = []
        for data, signature in self.server.ask("batches"):
            header = decode_header(data)
            public = keys[header.node].public_bytes_raw()
            chain.verify(Sealed(header=data, signature=signature, public_key=public), header.node, public)
            found.append((header, len(data) + len(signature) + sum(part.size for part in header.parts)))
        return found


@contextmanager
def opened(keep: Path | None) -> Iterator[Path]:
    """The folder to play in: ``keep``, made if it is missing, or else a temporary one that goes at the end.

    Raises ConfigError where ``keep`` holds files already or cannot be made.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="cdc-sync-demo-") as folder:
            yield Path(folder)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        empty = not any(keep.iterdir())
    except OSError as error:
        raise ConfigError(
            f"the folder {str(keep)!r} cannot be used: {error.strerror}", hint="name another folder with --keep"
        ) from None
    if not empty:
        raise ConfigError(
            f"the folder {str(keep)!r} is not empty", hint="name a new folder with --keep, or empty this one yourself"
        )
    yield keep


def build(folder: Path) -> World:
    """Write each laptop's configuration and make all three databases; the server holds rows of another laptop."""
    for name in (*LAPTOPS, SERVER):
        (folder / f"{name}.db").touch()
    laptops = tuple(_laptop(folder, name) for name in LAPTOPS)
    server = Place(name=SERVER, url=laptops[0].config.destinations[0].url, folder=folder)
    for place in (*laptops, server):
        place.run("schema")
    server.run("server_before")
    return World(folder=folder, laptops=laptops, server=server)


def _laptop(folder: Path, name: str) -> Laptop:
    path = folder / f"{name}.toml"
    path.write_text(_TOML.format(laptop=name, server=SERVER), encoding="utf-8")
    settings = config.load(path)
    return Laptop(name=name, url=settings.node.database, folder=folder, config=settings)
