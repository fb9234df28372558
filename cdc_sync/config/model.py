"""What a node's file says, as frozen data classes."""

from dataclasses import dataclass, field
from pathlib import Path

from cdc_sync.core.conflicts import Policies
from cdc_sync.core.letters import DEFERRED_LIMIT
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.renames import NONE, Renames

LARGEST_BATCH = 1024**3
"""Bytes of one batch, packed, that a server takes unless its file says otherwise."""

REQUESTS_A_MINUTE = 600
"""Requests of one node that a server answers in a minute unless its file says otherwise."""


CARRIED = ("https", "http", "file")
"""Schemes of destinations that batches are carried to; every other one names a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The database that takes part: its name everywhere, and its URL.

    ``relay``: it stores other nodes' batches and passes them on. ``apply``: what it stores goes to its own tables too.
    """

    name: str
    database: str = field(repr=False)
    relay: bool = False
    apply: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where batches go. Without ``url`` they are fetched or exported, and wait for its receipt.

    ``final``: its receipts let batches go. ``key``: its public device key where the file says it, else empty. ``ca``:
    certificates of who signed that of its server, where that is nobody whom the machine trusts. ``plain``: http:// may
    leave this machine.
    """

    name: str
    url: str = field(default="", repr=False)
    final: bool = True
    key: bytes = b""
    ca: Path | None = None
    plain: bool = False

    @property
    def scheme(self) -> str:
        """``postgresql``, ``https``, ``file`` ...; empty where there is no URL."""
        return self.url.partition(":")[0].partition("+")[0].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A node that this one fetches batches from; the fields as in ``Destination``."""

    name: str
    url: str = field(repr=False)
    key: bytes = b""
    ca: Path | None = None
    plain: bool = False

    @property
    def scheme(self) -> str:
        """``https`` or ``http``."""
        return self.url.partition(":")[0].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How this node listens. ``certificate`` and ``private_key`` are files; without them somebody else speaks TLS.

    ``apply``: what arrives is applied by the server itself. ``largest_batch``: bytes of one batch, packed.
    ``requests_a_minute``: of one node.
    """

    host: str = "127.0.0.1"
    port: int = 8443
    certificate: Path | None = None
    private_key: Path | None = None
    plain: bool = False
    apply: bool = True
    largest_batch: int = LARGEST_BATCH
    requests_a_minute: int = REQUESTS_A_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    path: Path
    node: Node
    tables: tuple[SyncedTable, ...]
    """What is synced: tables and views."""
    destinations: tuple[Destination, ...] = ()
    sources: tuple[Source, ...] = ()
    serve: Serve = field(default_factory=Serve)
    policies: Policies = field(default_factory=Policies)
    """By the tables' names at the destinations."""
    deferred_limit: float = DEFERRED_LIMIT
    renames: Renames = NONE

    @property
    def key_path(self) -> Path:
        """The device key: outside the database, so that a copied database is not a copied node."""
        return self.folder / f"{self.node.name}.key"

    def newest_wins(self, table: str) -> bool:
        """Whether the newest change of a row stands, for a table by its name here."""
        return self.policies.of(self.renames.table(table)).conflict == "newest_wins"

    @property
    def folder(self) -> Path:
        """Relative paths in the file start here."""
        return self.path.parent

    @property
    def reached(self) -> tuple[Destination, ...]:
        """The destinations that this node goes to by itself."""
        return tuple(destination for destination in self.destinations if destination.url)

    @property
    def databases(self) -> tuple[Destination, ...]:
        """Those of them whose database this node opens itself."""
        return tuple(destination for destination in self.reached if destination.scheme not in CARRIED)

    @property
    def final(self) -> tuple[Destination, ...]:
        """The destinations whose receipts let batches go."""
        return tuple(destination for destination in self.destinations if destination.final)
