"""Steady-state lag: from an application's commit to the row's arrival at the target, 200 transactions a second.

Each row carries the time at which its statement ran, which is its whole transaction. At the target a deferred
constraint trigger notes when the row's transaction is about to commit there. It is enabled always, so that it fires
for ours and for native apply alike; it costs both the same; and it has no resolution of its own, which a loop that
polls the target would have, besides taking one of few processors. A row's default would not do: native apply fills
every column. The target's commit timestamps would not do either: there native apply writes down the source's. What is
left out is the target's own flush, for which native apply does not wait and ours does.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from tests.benchmarks import family, lite, native, ours, postgres
from tests.benchmarks.apply_catchup import LAPTOP, laptop, road, subscribed
from tests.benchmarks.catchup import NATIVE, OURS
from tests.benchmarks.measure import Figure, Process, Samples, percentile, rotated, say
from tests.benchmarks.report import Section

SECONDS = 20
"""For which lag is watched, by default."""

PERIOD = 0.005
"""Seconds from one transaction of the application to the next."""

SETTLE = 2.0
"""Seconds at the beginning that do not count; also what an idle daemon is given to come to rest."""

PATIENCE = 60.0
"""Seconds for which the last rows are waited for."""

STEPS = family.WORKLOADS[family.INSERTS]

ARRIVAL = """
create unlogged table arrival (sent timestamptz, arrived timestamptz);
create function note_arrival() returns trigger language plpgsql as $$
begin
    insert into public.arrival values (new.drawn, clock_timestamp());
    return null;
end $$;
create constraint trigger arrival after insert on sample deferrable initially deferred
    for each row when (new.sample_code like 'lag%') execute function note_arrival();
alter table sample enable always trigger arrival;
"""

WAITS = "select extract(epoch from arrived - sent) * 1000 from arrival where sent > (select min(sent) from arrival) + "

INSERT = "insert into sample (id, visit_id, sample_code, kind, volume, frozen, drawn, notes) values "
ROW = "({id}, 1, 'lag-' || {id}, 'serum', 100, false, {now}, 'note')"

TARGETS = {"p50": "below 15", "p99": "below 50"}
BUSY = "processor, idle"
AT_WORK = "processor, at work"

Write = Callable[[int], object]


def measure(server: sa.URL, _rows: int, repeats: int) -> Section:
    """For as long as is usual."""
    return measure_rows(server, int(SECONDS / PERIOD), repeats)


def measure_rows(server: sa.URL, rows: int, repeats: int) -> Section:
    """Each round all of them, one at a time, until so many rows have come."""
    seconds = rows * PERIOD
    samples = Samples()
    sides: Mapping[str, Callable[[sa.URL, int, Samples], None]] = {OURS: _ours, NATIVE: _native, LAPTOP: _laptop}
    for repeat in range(repeats):
        for name in rotated(list(sides), repeat):
            say(f"lag, {name}: round {repeat + 1} of {repeats}")
            sides[name](server, seconds, samples)
    return Section(
        title=f"Lag from commit to arrival, {1 / PERIOD:.0f} transactions a second",
        note=f"One row a transaction for {seconds:.0f} s; cdc-sync replicate as a process of its own.",
        figures=list(_figures(samples)),
    )


def _figures(samples: Samples) -> Iterator[Figure]:
    for workload, taken in samples:
        for variant, found in taken.items():
            if workload in (BUSY, AT_WORK):
                target = "below 1" if workload == BUSY else ""
                yield Figure(workload=workload, variant=variant, unit="% of one", samples=found, target=target)
            else:
                target = "" if variant == NATIVE else TARGETS.get(workload, "")
                yield Figure(workload=workload, variant=variant, unit="ms", samples=found, target=target)


def _ours(server: sa.URL, seconds: float, samples: Samples) -> None:
    with road(server) as (source, target, path):
        postgres.write(source, family.transactions(STEPS, family.BLOCK, family.BLOCK))
        _watch(OURS, path, target, ("postgresql", postgres.text(source)), seconds, samples)


def _laptop(server: sa.URL, seconds: float, samples: Samples) -> None:
    with laptop(server) as (file, target, path):
        lite.write_all(file, family.transactions(STEPS, family.BLOCK, family.BLOCK))
        _watch(LAPTOP, path, target, ("sqlite", str(file)), seconds, samples)


def _watch(
    variant: str, path: Path, target: sa.URL, application: tuple[str, str], seconds: float, samples: Samples
) -> None:
    ours.replicate(path)
    postgres.run(target, ARRIVAL)
    with ours.daemon(path) as process:
        time.sleep(SETTLE)
        samples.add(BUSY, variant, _share(process, lambda: time.sleep(seconds / 2)))
        samples.add(AT_WORK, variant, _share(process, lambda: _write_beside(*application, seconds)))
        _note(variant, target, seconds, samples)


def _share(process: Process, activity: Callable[[], object]) -> float:
    """How much of one processor a process takes meanwhile, in percent."""
    busy, began = process.busy, time.perf_counter()
    activity()
    return (process.busy - busy) / (time.perf_counter() - began) * 100


def _native(server: sa.URL, seconds: float, samples: Samples) -> None:
    with subscribed(server) as (source, target):
        postgres.run(target, ARRIVAL)
        postgres.write(source, family.transactions(STEPS, family.BLOCK, family.BLOCK))
        native.catch_up(target, "select 1 from sample where id = 6")
        time.sleep(SETTLE)
        _write_beside("postgresql", postgres.text(source), seconds)
        _note(NATIVE, target, seconds, samples)


def _note(variant: str, target: sa.URL, seconds: float, samples: Samples) -> None:
    """Wait for the last row, and note how long rows took."""
    last, expected = time.monotonic() + PATIENCE, _transactions(seconds)
    while postgres.fetched(target, "select count(*) from arrival") != expected:
        if time.monotonic() > last:
            raise RuntimeError(f"{variant}: not all of {expected} rows have arrived")
        time.sleep(0.1)
    with postgres.connected(target) as connection:
        query = f"{WAITS} interval '{SETTLE} seconds'"
        waits = [float(str(wait)) for (wait,) in connection.execute(query)]
    for name, percent in (("p50", 50), ("p99", 99), ("longest", 100)):
        samples.add(name, variant, percentile(waits, percent))


def _transactions(seconds: float) -> int:
    return int((seconds + SETTLE) / PERIOD)


def _write_beside(kind: str, url: str, seconds: float) -> None:
    """Write from a process of its own, as an application does, and wait for its end."""
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(kind, url, _transactions(seconds)))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the application failed")


def _write(kind: str, url: str, transactions: int) -> None:
    """The application: one row every few milliseconds, however long the last one took."""
    with {"sqlite": _sqlite_writer, "postgresql": _postgresql_writer}[kind](url) as write:
        began = time.monotonic()
        for i in range(transactions):
            time.sleep(max(0.0, began + i * PERIOD - time.monotonic()))
            write(family.LATER + i)


@contextmanager
def _sqlite_writer(url: str) -> Iterator[Write]:
    text = INSERT + ROW.format(id=":id", now=":now")
    with lite.connected(Path(url)) as connection:
        yield lambda i: connection.execute(text, {"id": i, "now": datetime.now(UTC).isoformat(sep=" ")})


@contextmanager
def _postgresql_writer(url: str) -> Iterator[Write]:
    text = INSERT + ROW.format(id="%(id)s::bigint", now="clock_timestamp()")
    with postgres.connected(sa.make_url(url)) as connection:
        yield lambda i: connection.execute(text, {"id": i}, prepare=True)
