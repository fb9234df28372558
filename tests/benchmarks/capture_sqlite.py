"""The writer's cost on SQLite: ours against a json_array trigger with the same bookkeeping columns."""

import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import lite, ours, table
from tests.benchmarks.added import NONE, OURS, figures
from tests.benchmarks.measure import Samples, rotated, say, timed
from tests.benchmarks.report import Section

JSON = "json_array"

NEW, OLD = (", ".join(f"{image}.{column}" for column in table.COLUMNS) for image in ("new", "old"))

JSON_TRIGGERS = f"""
create table delta (seq integer primary key, op, captured_at, payload);
create trigger capture_insert after insert on t begin
    insert into delta (op, captured_at, payload) values ('I', julianday(), json_array({NEW}));
end;
create trigger capture_update after update on t begin
    insert into delta (op, captured_at, payload) values ('U', julianday(), json_array({NEW}));
end;
create trigger capture_delete after delete on t begin
    insert into delta (op, captured_at, payload) values ('D', julianday(), json_array({OLD}));
end;
"""
"""Whole rows, as row_to_json has them; no check for key changes and no mute: less than a replicator needs."""


def measure(rows: int, repeats: int) -> Section:
    """Fresh files every round; variants take turns with every transaction."""
    samples = Samples()
    with tempfile.TemporaryDirectory() as folder:
        templates = _templates(Path(folder))
        for repeat in range(repeats):
            say(f"SQLite: round {repeat + 1} of {repeats}")
            _round(templates, rows, repeat, samples)
    return Section(
        title="Capture on SQLite: the writer's time per row",
        note=f"WAL, synchronous=NORMAL; {rows:,} rows in transactions of {lite.TRANSACTION:,}, by key.",
        figures=figures(samples, (JSON,), dict.fromkeys(lite.WORKLOADS, "at most 0.6")),
    )


def _templates(folder: Path) -> dict[str, Path]:
    paths = {name: lite.create(folder / f"{number}.db") for number, name in enumerate((NONE, JSON, OURS))}
    with lite.connected(paths[JSON]) as connection:
        connection.executescript(JSON_TRIGGERS)
    ours.install(ours.configured(folder, lite.url(paths[OURS])))
    for path in paths.values():
        with lite.connected(path) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
    return paths


def _round(templates: Mapping[str, Path], rows: int, repeat: int, samples: Samples) -> None:
    order = rotated(list(templates), repeat)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        copies = {name: Path(shutil.copy(path, folder)) for name, path in templates.items()}
        writers = {name: stack.enter_context(lite.connected(path)) for name, path in copies.items()}
        for workload in lite.WORKLOADS:
            spent = _spent(writers, order, workload, rows)
            for name in order:
                samples.add(workload, name, spent[name] * 1e6 / rows)


def _spent(writers: Mapping[str, sqlite3.Connection], order: list[str], workload: str, rows: int) -> dict[str, float]:
    """Seconds by variant."""
    spent = dict.fromkeys(order, 0.0)
    run = lite.WORKLOADS[workload]
    for first, last in lite.spans(rows):
        for name in order:
            connection = writers[name]
            spent[name] += timed(lambda: run(connection, first, last))  # noqa: B023
    return spent
