"""Conflicts: changes that meet a row which somebody else wrote, with PostgreSQL 18's names, and who wins.

Sources: PostgreSQL 18 manual, "Logical replication: conflicts", for the names; pglogical and spock for the policies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cdc_sync.core.plan import SyncedTable

CONFLICTS = ("source_wins", "target_wins", "newest_wins", "manual")
MERGES = ("rows", "columns")
TRIGGERS = ("fire", "quiet")
CLOCK_AHEAD = 3600.0
"""Seconds that a node's clock may be ahead of the target's before ``newest_wins`` does not believe it."""


class Kind(StrEnum):
    """What a change met."""

    INSERT_EXISTS = "insert_exists"
    UPDATE_EXISTS = "update_exists"
    UPDATE_MISSING = "update_missing"
    UPDATE_ORIGIN_DIFFERS = "update_origin_differs"
    DELETE_MISSING = "delete_missing"
    DELETE_ORIGIN_DIFFERS = "delete_origin_differs"
    MULTIPLE_UNIQUE_CONFLICTS = "multiple_unique_conflicts"


class Outcome(StrEnum):
    """Whose version of the row stands at the target."""

    SOURCE = "source"
    TARGET = "target"
    MERGED = "merged"
    HELD = "held"
    """Nobody has decided yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a DBA's file says of applying one table's rows: ``conflict`` says who wins, ``merge`` of what.

    ``triggers`` says whether the target's own triggers fire for them. They do unless the file says otherwise: often
    they fill columns, totals or search indexes that rows would lack without them, and to keep them quiet costs
    (PostgreSQL: a lock on the table while a batch is applied; SQLite: two changes of the schema).
    """

    conflict: str = CONFLICTS[0]
    merge: str = MERGES[0]
    triggers: str = TRIGGERS[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The policies of all tables; ``clock_ahead`` in seconds, as above. ``decided``: a person has, for the source."""

    tables: Sequence[tuple[SyncedTable, Policy]] = ()
    clock_ahead: float = CLOCK_AHEAD
    default: Policy = field(default_factory=Policy)
    decided: bool = False

    @property
    def quiet(self) -> bool:
        """Whether any table's triggers are to be quiet."""
        return any(policy.triggers == "quiet" for _, policy in self.tables)

    @property
    def exact(self) -> set[str]:
        """The tables that have an entry of their own."""
        return {table.name for table, _ in self.tables if not table.is_pattern}

    def of(self, name: str) -> Policy:
        """The table's policy: its own entry's, or else that of the wildcard which it fits."""
        exact = next((policy for table, policy in self.tables if table.name == name), None)
        fitting = (policy for table, policy in self.tables if table.is_pattern and table.fits(name))
        found = exact or next(fitting, self.default)
        return replace(found, conflict=CONFLICTS[0]) if self.decided else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """A staged change (``seq``, captured ``at``) that met a row: who wrote it, and when; empty for the target's own.

    Times are ISO 8601 text in UTC, which compares as the times do. ``buried`` is when another origin's deletion of the
    row was captured, where the row is missing. ``yields``: the change gives way to whatever stands (``Op.YIELD``).
    """

    seq: int
    kind: Kind
    at: str
    origin: str = ""
    written_at: str = ""
    buried: str = ""
    yields: bool = False


def decide(met: Met, policy: Policy, node: str, latest: str) -> Outcome:
    """Who wins. ``node`` sent the change; a time after ``latest`` is not believed."""
    if met.yields or met.kind is Kind.DELETE_MISSING:
        return Outcome.TARGET
    if policy.conflict == "manual":
        return Outcome.HELD
    if policy.conflict == "newest_wins":
        return _newest(met, node, latest)
    return Outcome.TARGET if policy.conflict == "target_wins" else Outcome.SOURCE


def _newest(met: Met, node: str, latest: str) -> Outcome:
    if met.at > latest:
        return Outcome.HELD
    if met.kind is Kind.UPDATE_MISSING:
        return Outcome.TARGET if met.buried > met.at else Outcome.SOURCE
    newer = (met.at, node) > (met.written_at, met.origin)
    return Outcome.SOURCE if newer else Outcome.TARGET
