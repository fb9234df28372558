"""The writer's cost on SQLite: ours against a json_array trigger with the same bookkeeping columns."""

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import lite, ours
from tests.benchmarks.added import NONE, OURS, VIEWS, Targets, figures
from tests.benchmarks.measure import Samples, rotated, say, timed
from tests.benchmarks.report import Section
from tests.benchmarks.table import VIEW, VISIT, Table

JSON = "json_array"

JSON_TRIGGERS = """
create table delta (seq integer primary key, op, captured_at, payload);
create trigger capture_insert after insert on t begin
    insert into delta (op, captured_at, payload) values ('I', julianday(), json_array({new}));
end;
create trigger capture_update after update on t begin
    insert into delta (op, captured_at, payload) values ('U', julianday(), json_array({new}));
end;
create trigger capture_delete after delete on t begin
    insert into delta (op, captured_at, payload) values ('D', julianday(), json_array({old}));
end;
"""
"""Whole rows, as row_to_json has them; no look at key changes or REPLACE, no mute: less than a replicator needs."""

SINGLES = ("insert", "update", "update of the key")
"""What is also written one row a transaction."""

SINGLE_ROWS = 2_000

TARGETS: Targets = {
    NONE: {f"bulk {name}": "at most 2" for name in ("insert", "update", "replace", "update of the key", "delete")},
    JSON: {f"bulk {name}": "at most 0.6" for name in ("insert", "update", "delete")},
}


def measure(table: Table, rows: int, repeats: int) -> Section:
    """Fresh files every round; variants take turns with every transaction."""
    samples = Samples()
    with tempfile.TemporaryDirectory() as folder:
        templates = _templates(Path(folder), table)
        for repeat in range(repeats):
            say(f"SQLite, {len(table.names)} columns: round {repeat + 1} of {repeats}")
            _round(templates, table, rows, repeat, samples)
    return Section(
        title=f"Capture on SQLite, {len(table.names)} columns: the writer's time per row",
        note=(
            f"WAL, synchronous=NORMAL; by key. Bulk: {rows:,} rows in transactions of {lite.TRANSACTION:,}. "
            f"Single: {SINGLE_ROWS:,} transactions of one row. Means, with the checkpoints that fall into them."
        ),
        figures=figures(samples, TARGETS),
    )


def _templates(folder: Path, table: Table) -> dict[str, Path]:
    variants = (NONE, JSON, OURS, *(VIEWS if table is VISIT else ()))
    paths = {name: lite.create(folder / f"{number}.db", table) for number, name in enumerate(variants)}
    new, old = (", ".join(f"{image}.{name}" for name in table.names) for image in ("new", "old"))
    with lite.connected(paths[JSON]) as connection:
        connection.executescript(JSON_TRIGGERS.format(new=new, old=old))
    ours.install(ours.configured(folder, lite.url(paths[OURS])))
    for view in (view for view in VIEWS if view in paths):
        with lite.connected(paths[view]) as connection:
            connection.execute(VIEW)
        ours.install(ours.viewed(Path(tempfile.mkdtemp(dir=folder)), lite.url(paths[view]), view))
    for path in paths.values():
        with lite.connected(path) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
    return paths


def _round(templates: Mapping[str, Path], table: Table, rows: int, repeat: int, samples: Samples) -> None:
    order = rotated(list(templates), repeat)
    workloads = lite.workloads(table)
    plan = [("bulk", name, rows, lite.TRANSACTION) for name in workloads]
    plan += [("single", name, SINGLE_ROWS, 1) for name in SINGLES]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        copies = {name: Path(shutil.copy(path, folder)) for name, path in templates.items()}
        writers = {name: stack.enter_context(lite.connected(path)) for name, path in copies.items()}
        for kind, workload, count, size in plan:
            spent = _spent(writers, order, workloads[workload], count, size)
            for name in order:
                samples.add(f"{kind} {workload}", name, spent[name] * 1e6 / count)


def _spent(
    writers: Mapping[str, sqlite3.Connection], order: list[str], workload: lite.Workload, count: int, size: int
) -> dict[str, float]:
    """Seconds by variant, in transactions of ``size`` rows; what an application would write is at hand before."""
    spent = dict.fromkeys(order, 0.0)
    for first, last in lite.spans(count, size):
        rows = list(workload.parameters(first, last))
        for name in order:
            spent[name] += timed(lambda: lite.write(writers[name], workload.text, rows))  # noqa: B023
    return spent
