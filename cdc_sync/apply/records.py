"""Conflicts written down, with both versions of the row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cdc_sync.core.conflicts import Met, Outcome
from cdc_sync.databases import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A conflict as it is written down; rows are JSON, for people to read."""

    table: str
    met: Met
    policy: str
    outcome: Outcome
    source_row: str
    target_row: str


def write(session: Session, place: Mapping[str, object], found: Iterable[Record]) -> None:
    """Write conflicts down, under the batch that ``place`` names."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    session.run_many("conflict_add", [_binds(place, record, now) for record in found])


def _binds(place: Mapping[str, object], record: Record, now: str) -> dict[str, object]:
    return {
        **place,
        "table_name": record.table,
        "seq": record.met.seq,
        "kind": record.met.kind.value,
        "policy": record.policy,
        "outcome": record.outcome.value,
        "met_origin": record.met.origin,
        "met_at": record.met.written_at,
        "captured_at": record.met.at,
        "source_row": record.source_row,
        "target_row": record.target_row,
        "noted_at": now,
    }
