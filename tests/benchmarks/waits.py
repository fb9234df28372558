"""How long an application waits for its own small commits while a backlog is sealed and sent beside it."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from tests.benchmarks import lite, ours, postgres
from tests.benchmarks.catchup import node
from tests.benchmarks.measure import Figure, Samples, percentile, say
from tests.benchmarks.report import Section
from tests.benchmarks.table import VISIT

PAUSE = 0.002
"""Seconds that the application rests after each commit."""

FIRST = 1_000_000_000
"""The application's first id, beyond every backlog."""

SETTLE = 1.0
"""Seconds that the application writes before anything else begins."""

ALONE, BESIDE = "alone", "beside the replicator"
ELSEWHERE = "beside the replicator of two other databases"

Write = Callable[[int], object]
T = TypeVar("T")


def measure(server: sa.URL, rows: int, repeats: int) -> Section:
    """The longest wait and the 99th percentile (ms), with the replicator at work and, for as long, without."""
    samples = Samples()
    for repeat in range(repeats):
        say(f"application's waits: round {repeat + 1} of {repeats}")
        _sqlite(rows, samples)
        _postgresql(server, rows, samples)
    return Section(
        title="Application's wait for one small commit",
        note=f"{rows:,} changes sealed and sent meanwhile; one row every {PAUSE * 1000:.0f} ms from another process.",
        figures=list(_figures(samples)),
    )


def _figures(samples: Samples) -> Iterator[Figure]:
    targets = {"SQLite, longest": "below 100", "PostgreSQL, longest": "not measurable"}
    for workload, waits in samples:
        for variant, taken in waits.items():
            target = targets.get(workload, "") if variant == BESIDE else ""
            yield Figure(workload=workload, variant=variant, unit="ms", samples=taken, target=target)


def _sqlite(rows: int, samples: Samples) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = (lite.create(Path(folder) / name) for name in ("source.db", "target.db"))
        with node(lite.url(source), lite.url(target)) as path:
            lite.backlog(source, "insert", rows)
            watch = _Watch("SQLite", "sqlite", str(source), samples)
            seconds = watch.over(BESIDE, lambda: ours.replicate(path).seconds)
            watch.over(ALONE, lambda: time.sleep(seconds))


def _postgresql(server: sa.URL, rows: int, samples: Samples) -> None:
    """Also beside the replicator of two other databases: the same load on the machine, and not a lock in common."""
    with ExitStack() as stack:
        source, path = _backlog(server, rows, stack)
        _, elsewhere = _backlog(server, rows, stack)
        watch = _Watch("PostgreSQL", "postgresql", postgres.text(source), samples)
        seconds = watch.over(BESIDE, lambda: ours.replicate(path).seconds)
        watch.over(ELSEWHERE, lambda: ours.replicate(elsewhere).seconds)
        watch.over(ALONE, lambda: time.sleep(seconds))


def _backlog(server: sa.URL, rows: int, stack: ExitStack) -> tuple[sa.URL, Path]:
    source, target = (stack.enter_context(postgres.table_database(server)) for _ in range(2))
    path = stack.enter_context(node(postgres.text(source), postgres.text(target)))
    postgres.insert_backlog(source, rows)
    postgres.checkpoint(source)
    return source, path


@dataclass
class _Watch:
    """One application on one database, watched again and again."""

    label: str
    kind: str
    url: str
    samples: Samples
    first: int = FIRST

    def over(self, variant: str, activity: Callable[[], T]) -> T:
        """Take the application's waits while the activity goes on."""
        with _application(self.kind, self.url, self.first) as waits:
            result = activity()
        self.first += FIRST
        _add(self.label, variant, waits, self.samples)
        return result


def _add(label: str, variant: str, waits: list[float], samples: Samples) -> None:
    samples.add(f"{label}, longest", variant, max(waits) * 1000)
    samples.add(f"{label}, 99th percentile", variant, percentile(waits, 99) * 1000)


@contextmanager
def _application(kind: str, url: str, first: int) -> Iterator[list[float]]:
    """A process that writes while the block runs; the list holds its waits in seconds after the block."""
    context = multiprocessing.get_context("spawn")
    begun, stop, queue = context.Event(), context.Event(), context.Queue()
    process = context.Process(target=_write, args=(kind, url, first, begun, stop, queue))
    process.start()
    waits: list[float] = []
    try:
        begun.wait(30)
        yield waits
    finally:
        stop.set()
        waits += queue.get(timeout=60)
        process.join()


def _write(kind: str, url: str, first: int, begun: Event, stop: Event, queue: "Queue[list[float]]") -> None:
    """The application: settle, then commit a row, rest, and so on. Runs in a process of its own."""
    waits: list[float] = []
    with {"sqlite": _sqlite_writer, "postgresql": _postgresql_writer}[kind](url) as write:
        settled = time.perf_counter() + SETTLE
        while not stop.is_set():
            started = time.perf_counter()
            write(first)
            if started > settled:
                begun.set()
                waits.append(time.perf_counter() - started)
            first += 1
            time.sleep(PAUSE)
    queue.put(waits)


@contextmanager
def _sqlite_writer(url: str) -> Iterator[Write]:
    with lite.connected(Path(url)) as connection:
        yield lambda i: lite.insert(connection, i, i)


@contextmanager
def _postgresql_writer(url: str) -> Iterator[Write]:
    with postgres.connected(sa.make_url(url)) as connection:
        yield lambda i: connection.execute(VISIT.insert_generated, (i, i), prepare=True)
