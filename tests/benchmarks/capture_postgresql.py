"""The writer's cost on PostgreSQL: ours, key-only row triggers as Bucardo has them, and row_to_json row triggers."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import sqlalchemy as sa

from tests.benchmarks import ours, postgres
from tests.benchmarks.added import NONE, OURS, VIEWS, Targets, figures
from tests.benchmarks.measure import Samples, rotated, say
from tests.benchmarks.postgres import Connection
from tests.benchmarks.report import Section
from tests.benchmarks.table import MOVE_ALL, UPDATE_ALL, VIEW, VISIT, Row, Table

KEY_ONLY, JSON = "key only", "row_to_json"

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
"""Whole rows; nothing is kept of a key that changes: less than a replicator needs."""

WORKLOADS = ("insert", "update", "update of the key", "delete")

TARGETS: Targets = {
    KEY_ONLY: {
        "bulk insert": "at most 0.5",
        "bulk update": "at most 0.5",
        "bulk update of the key": "at most 0.5",
        "bulk delete": "at most 0.8",
        "single insert": "at most 2",
        "single update": "at most 1.2",
        "single update of the key": "at most 1.2",
    },
    JSON: {f"{kind} {name}": "below 1" for kind in ("bulk", "single") for name in WORKLOADS},
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What an application runs, with these parameters one after the other."""

    text: str
    parameters: Sequence[Row] = ((),)


def bulks(table: Table, rows: int) -> dict[str, Statement]:
    """Each finds the rows that it needs; the last leaves none. So do ``singles``."""
    return {
        "bulk insert": Statement(table.insert_generated, [(1, rows)]),
        "bulk update": Statement(UPDATE_ALL),
        "bulk update of the key": Statement(MOVE_ALL),
        "bulk delete": Statement("delete from t"),
    }


def singles(table: Table) -> dict[str, Statement]:
    ids = [(i,) for i in range(1, SINGLES + 1)]
    return {
        "single insert": Statement(table.insert("%s"), list(table.rows(1, SINGLES))),
        "single update": Statement(f"{UPDATE_ALL} where id = %s", ids),
        "single update of the key": Statement(f"{MOVE_ALL} where id = %s", ids),
        "single delete": Statement("delete from t where id = -%s::bigint", ids),
    }


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

    def times(self, text: str, parameters: Sequence[Row]) -> Iterator[float]:
        """Seconds of each prepared statement, with its commit."""
        for values in parameters:
            started = time.perf_counter()
            self.connection.execute(text, values, prepare=True)
            yield time.perf_counter() - started


Writers = Mapping[str, Writer]


def measure(server: sa.URL, table: Table, rows: int, repeats: int) -> Section:
    """Every variant in a database of its own on one server; rounds go through all variants before any comes again."""
    samples = Samples()
    with ExitStack() as stack:
        writers = _writers(server, table, stack)
        for repeat in range(repeats):
            say(f"PostgreSQL, {len(table.names)} columns: round {repeat + 1} of {repeats}")
            order = rotated(list(writers), repeat)
            _bulk_round(writers, order, table, rows, samples)
            _single_round(writers, order, table, samples)
    return Section(
        title=f"Capture on PostgreSQL, {len(table.names)} columns: the writer's time per row",
        note=(
            f"Bulk: one statement of {rows:,} rows, best of {TAKES} a round. "
            f"Single: median of {SINGLES:,} prepared autocommitted statements."
        ),
        figures=figures(samples, TARGETS),
    )


def _writers(server: sa.URL, table: Table, stack: ExitStack) -> Writers:
    variants = (NONE, KEY_ONLY, JSON, OURS, *(VIEWS if table is VISIT else ()))
    urls = {name: stack.enter_context(postgres.table_database(server, table)) for name in variants}
    logs = {NONE: "", KEY_ONLY: "delta", JSON: "delta"}
    for name in variants:
        if name not in logs:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            logs[name] = _installed(folder, urls[name], name)
    writers = {name: Writer(stack.enter_context(postgres.connected(url)), logs[name]) for name, url in urls.items()}
    writers[KEY_ONLY].connection.execute(KEY_ONLY_TRIGGER)
    writers[JSON].connection.execute(JSON_TRIGGER)
    return writers


def _installed(folder: Path, url: sa.URL, variant: str) -> str:
    """Ours on one variant's database; returns its change table."""
    text = postgres.text(url)
    if variant in VIEWS:
        with postgres.connected(url) as connection:
            connection.execute(VIEW)
    path = ours.viewed(folder, text, variant) if variant in VIEWS else ours.configured(folder, text)
    return f'cdc_sync."{ours.install(path)["t"]}"'


def _bulk_round(writers: Writers, order: list[str], table: Table, rows: int, samples: Samples) -> None:
    writers[NONE].connection.execute("checkpoint")
    takes = [_bulks(writers, order, bulks(table, rows)) for _ in range(TAKES)]
    for workload, name in takes[0]:
        samples.add(workload, name, min(take[workload, name] for take in takes) * 1e6 / rows)


def _bulks(writers: Writers, order: list[str], statements: Mapping[str, Statement]) -> dict[tuple[str, str], float]:
    """Seconds by workload and variant; leaves empty tables."""
    spent = {}
    for name in order:
        writers[name].clear("t")
    for workload, statement in statements.items():
        for name in order:
            writers[name].clear_log()
            spent[workload, name] = sum(writers[name].times(statement.text, statement.parameters))
    return spent


def _single_round(writers: Writers, order: list[str], table: Table, samples: Samples) -> None:
    for name in order:
        writers[name].clear("t")
    for workload, statement in singles(table).items():
        for name, times in _singles(writers, order, statement).items():
            samples.add(workload, name, median(times) * 1e6)


def _singles(writers: Writers, order: list[str], statement: Statement) -> dict[str, list[float]]:
    """Variants take turns every few statements: an fsync's mood hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in order}
    for name in order:
        writers[name].clear_log()
    for start in range(0, len(statement.parameters), BLOCK):
        for name in order:
            times[name] += writers[name].times(statement.text, statement.parameters[start : start + BLOCK])
    return times
