"""The writer's cost on PostgreSQL: ours, key-only row triggers as Bucardo has them, and row_to_json row triggers."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from tests.benchmarks import ours, postgres, table
from tests.benchmarks.added import NONE, OURS, figures
from tests.benchmarks.measure import Samples, rotated, say, timed
from tests.benchmarks.postgres import Connection
from tests.benchmarks.report import Section

KEY_ONLY, JSON = "key only", "row_to_json"

TARGETS = {"bulk insert": "at most 0.5", "bulk update": "at most 0.5", "bulk delete": "at most 0.8"}

TAKES = 3
"""Bulk statements of a kind in a round. The fastest counts: what else runs on the machine only ever adds."""

SINGLES = 2_000
"""Statements of the single-row workloads."""

BLOCK = 20
"""Single-row statements before the next variant has its turn."""

KEY_ONLY_TRIGGER = """
create table delta (id bigint not null, txntime timestamptz not null default now());
create function capture() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into delta (id) values (new.id);
    elsif tg_op = 'UPDATE' then
        insert into delta (id) values (old.id);
        if old.id <> new.id then
            insert into delta (id) values (new.id);
        end if;
    else
        insert into delta (id) values (old.id);
    end if;
    return null;
end $$;
create trigger capture after insert or update or delete on t for each row execute function capture();
"""
"""Bucardo's, without its index on txntime and without its second trigger per statement: a stronger rival than it is."""

JSON_TRIGGER = """
create table delta (seq bigserial primary key, op "char" not null, captured_at timestamptz not null default now(),
    payload json not null);
create function capture() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into delta (op, payload) values ('D', row_to_json(old));
    else
        insert into delta (op, payload) values (left(tg_op, 1)::"char", row_to_json(new));
    end if;
    return null;
end $$;
create trigger capture after insert or update or delete on t for each row execute function capture();
"""

SINGLE_INSERT = f"insert into t values ({', '.join(['%s'] * len(table.COLUMNS))})"
SINGLE_UPDATE = "update t set weight = weight + 1 where id = %s"


@dataclass(frozen=True, slots=True)
class Writer:
    """An application's connection to one variant, and the table that its trigger fills."""

    connection: Connection
    log: str

    def clear(self, *tables: str) -> None:
        for name in tables:
            self.connection.execute(f"truncate {name}")

    def clear_log(self) -> None:
        if self.log:
            self.clear(self.log)

    def bulk(self, workload: str, rows: int) -> float:
        """Seconds of one statement and its commit."""
        statements = {
            "bulk insert": (table.INSERT_GENERATED, (1, rows)),
            "bulk update": ("update t set weight = weight + 1", ()),
            "bulk delete": ("delete from t", ()),
        }
        text, parameters = statements[workload]
        return timed(lambda: self.connection.execute(text, parameters))

    def singles(self, text: str, parameters: list[tuple[object, ...]]) -> Iterator[float]:
        """Seconds of each prepared statement, with its commit."""
        for values in parameters:
            started = time.perf_counter()
            self.connection.execute(text, values, prepare=True)
            yield time.perf_counter() - started


Writers = Mapping[str, Writer]


def measure(server: sa.URL, rows: int, repeats: int) -> Section:
    """Every variant in a database of its own on one server; rounds go through all variants before any comes again."""
    samples = Samples()
    with ExitStack() as stack:
        writers = _writers(server, stack)
        for repeat in range(repeats):
            say(f"PostgreSQL: round {repeat + 1} of {repeats}")
            _round(writers, rows, repeat, samples)
    return Section(
        title="Capture on PostgreSQL: the writer's time per row",
        note=(
            f"Bulk: one statement of {rows:,} rows, best of {TAKES} a round. "
            f"Single: median of {SINGLES:,} prepared autocommitted statements."
        ),
        figures=figures(samples, (KEY_ONLY, JSON), TARGETS),
    )


def _writers(server: sa.URL, stack: ExitStack) -> Writers:
    urls = {name: stack.enter_context(postgres.table_database(server)) for name in (NONE, KEY_ONLY, JSON, OURS)}
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    change = ours.install(ours.configured(folder, postgres.text(urls[OURS])))
    logs = {NONE: "", KEY_ONLY: "delta", JSON: "delta", OURS: f'cdc_sync."{change}"'}
    writers = {name: Writer(stack.enter_context(postgres.connected(url)), logs[name]) for name, url in urls.items()}
    writers[KEY_ONLY].connection.execute(KEY_ONLY_TRIGGER)
    writers[JSON].connection.execute(JSON_TRIGGER)
    return writers


def _round(writers: Writers, rows: int, repeat: int, samples: Samples) -> None:
    order = rotated(list(writers), repeat)
    writers[NONE].connection.execute("checkpoint")
    takes = [_bulks(writers, order, rows) for _ in range(TAKES)]
    for workload, name in takes[0]:
        samples.add(workload, name, min(take[workload, name] for take in takes) * 1e6 / rows)
    ids = range(1, SINGLES + 1)
    for name, times in _singles(writers, order, SINGLE_INSERT, list(table.rows(1, SINGLES))).items():
        samples.add("single insert", name, median(times) * 1e6)
    for name, times in _singles(writers, order, SINGLE_UPDATE, [(i,) for i in ids]).items():
        samples.add("single update", name, median(times) * 1e6)


def _bulks(writers: Writers, order: list[str], rows: int) -> dict[tuple[str, str], float]:
    """Seconds by workload and variant; leaves empty tables."""
    spent = {}
    for name in order:
        writers[name].clear("t")
    for workload in TARGETS:
        for name in order:
            writers[name].clear_log()
            spent[workload, name] = writers[name].bulk(workload, rows)
    return spent


def _singles(
    writers: Writers, order: list[str], text: str, parameters: list[tuple[object, ...]]
) -> dict[str, list[float]]:
    """Variants take turns every few statements: an fsync's mood hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in order}
    for name in order:
        writers[name].clear_log()
    for start in range(0, len(parameters), BLOCK):
        for name in order:
            times[name] += writers[name].singles(text, parameters[start : start + BLOCK])
    return times
