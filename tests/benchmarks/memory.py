"""Peak memory of the replicator's process while a large backlog drains."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from tests.benchmarks import lite, ours, postgres
from tests.benchmarks.catchup import OURS, node
from tests.benchmarks.measure import Figure, say
from tests.benchmarks.report import Section

TARGET = "below 200"


def measure(server: sa.URL, rows: int) -> Section:
    """Once for each pair of databases: memory repeats itself well."""
    say(f"memory: {rows:,} changes waiting")
    figures: Sequence[Figure] = [
        _figure("PostgreSQL to PostgreSQL", _postgresql(server, rows)),
        _figure("SQLite to SQLite", _sqlite(rows)),
    ]
    return Section(
        title="Memory of the replicator", note=f"{rows:,} inserts waiting; cdc-sync replicate --once.", figures=figures
    )


def _figure(workload: str, peak: float) -> Figure:
    return Figure(workload=workload, variant=OURS, unit="MiB peak", samples=[peak], target=TARGET)


def _postgresql(server: sa.URL, rows: int) -> float:
    with ExitStack() as stack:
        source, target = (stack.enter_context(postgres.table_database(server)) for _ in range(2))
        path = stack.enter_context(node(postgres.text(source), postgres.text(target)))
        postgres.insert_backlog(source, rows)
        return ours.replicate(path).peak


def _sqlite(rows: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source, target = (lite.create(Path(folder) / name) for name in ("source.db", "target.db"))
        with node(lite.url(source), lite.url(target)) as path:
            lite.backlog(source, "insert", rows)
            return ours.replicate(path).peak
