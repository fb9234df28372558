"""How fast a backlog drains: PostgreSQL to PostgreSQL beside native logical replication, and SQLite to PostgreSQL."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.benchmarks import lite, native, ours, postgres
from tests.benchmarks.measure import Figure, Ratio, Samples, say
from tests.benchmarks.report import Section

OURS, NATIVE = "cdc-sync", "native"
STARTUP = "start-up alone"
INSERTS, UPDATES = "inserts", "updates"

UNIT = "rows/s"

WRITERS: dict[str, Callable[[sa.URL, int], None]] = {
    INSERTS: postgres.insert_backlog,
    UPDATES: postgres.update_backlog,
}


def postgresql(server: sa.URL, rows: int, repeats: int) -> Section:
    """Ours and native in turn, on databases of their own; no slot lives while ours writes or drains."""
    samples = Samples()
    for repeat in range(repeats):
        say(f"PostgreSQL to PostgreSQL: round {repeat + 1} of {repeats}")
        for measure in (_ours, _native) if repeat % 2 == 0 else (_native, _ours):
            measure(server, rows, samples)
    return Section(
        title="Catch-up, PostgreSQL to PostgreSQL",
        note=f"{rows:,} changes in transactions of 1,000, one server; from a stopped replicator to the last row there.",
        figures=list(_figures(samples)),
    )


def _figures(samples: Samples) -> Iterator[Figure]:
    for workload, rates in samples:
        if workload == STARTUP:
            yield Figure(workload=workload, variant=OURS, unit="s", samples=rates[OURS])
            continue
        ratio = Ratio(against=NATIVE, ours=rates[OURS], rival=rates[NATIVE], target="at least 1")
        yield Figure(workload=workload, variant=NATIVE, unit=UNIT, samples=rates[NATIVE])
        yield Figure(workload=workload, variant=OURS, unit=UNIT, samples=rates[OURS], ratios=[ratio])
        inside = f"{OURS}, without start-up"
        yield Figure(workload=workload, variant=inside, unit=UNIT, samples=rates[inside])


@contextmanager
def _pair(server: sa.URL) -> Iterator[tuple[sa.URL, sa.URL]]:
    with postgres.table_database(server) as source, postgres.table_database(server) as target:
        yield source, target


@contextmanager
def node(source: str, target: str, tables: Mapping[str, Sequence[str]] = ours.ONE_TABLE) -> Iterator[Path]:
    """The file of a node with triggers and nothing waiting; its inbox exists."""
    with tempfile.TemporaryDirectory() as folder:
        path = ours.configured(Path(folder), source, target, tables)
        ours.install(path)
        ours.replicate(path)
        yield path


def _ours(server: sa.URL, rows: int, samples: Samples) -> None:
    with _pair(server) as (source, target), node(postgres.text(source), postgres.text(target)) as path:
        startup = ours.replicate(path).seconds
        samples.add(STARTUP, OURS, startup)
        for workload, write in WRITERS.items():
            write(source, rows)
            postgres.checkpoint(source)
            seconds = ours.replicate(path).seconds
            samples.add(workload, OURS, rows / seconds)
            samples.add(workload, f"{OURS}, without start-up", rows / max(seconds - startup, 1e-3))
            check(postgres.summary(source), postgres.summary(target))


def _native(server: sa.URL, rows: int, samples: Samples) -> None:
    with _pair(server) as (source, target), native.subscribed(source, target):
        for workload, write in WRITERS.items():
            write(source, rows)
            postgres.checkpoint(source)
            last = postgres.fetched(source, f"select weight from t where id = {rows}")
            seconds = native.catch_up(target, f"select 1 from t where id = {rows} and weight = {last}")
            samples.add(workload, NATIVE, rows / seconds)
            check(postgres.summary(source), postgres.summary(target))
            native.disable(source, target)


def check(expected: list[float], found: list[float]) -> None:
    """Raise RuntimeError unless everything has arrived: a fast loss is no result."""
    if expected != found:
        raise RuntimeError(f"the target has {found}, its source {expected}")


def sqlite(server: sa.URL, rows: int, repeats: int) -> Section:
    """A laptop's backlog into a server; there is no rival that drains SQLite."""
    samples = Samples()
    for repeat in range(repeats):
        say(f"SQLite to PostgreSQL: round {repeat + 1} of {repeats}")
        _laptop(server, rows, samples)
    return Section(
        title="Catch-up, SQLite to PostgreSQL",
        note=f"{rows:,} changes in transactions of 1,000; wall clock of cdc-sync replicate --once.",
        figures=[Figure(workload=w, variant=OURS, unit=UNIT, samples=rates[OURS]) for w, rates in samples],
    )


def _laptop(server: sa.URL, rows: int, samples: Samples) -> None:
    with ExitStack() as stack:
        file = lite.create(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "field.db")
        target = stack.enter_context(postgres.table_database(server))
        path = stack.enter_context(node(lite.url(file), postgres.text(target)))
        for workload, name in ((INSERTS, "insert"), (UPDATES, "update")):
            lite.backlog(file, name, rows)
            postgres.checkpoint(target)
            samples.add(workload, OURS, rows / ours.replicate(path).seconds)
            check(lite.summary(file), postgres.summary(target))
