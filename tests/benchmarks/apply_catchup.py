"""How fast a backlog of families drains, written in transactions of 1, 10 and 1,000 changes, and in one large one."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.benchmarks import family, lite, native, ours, postgres
from tests.benchmarks.catchup import NATIVE, OURS, STARTUP, UNIT, check, node
from tests.benchmarks.measure import Figure, Ratio, Samples, say
from tests.benchmarks.report import Section

INSIDE = f"{OURS}, without start-up"
LAPTOP = f"{OURS}, from SQLite"

TARGETS: Mapping[str, str] = {family.INSERTS: "at least 1.5", family.UPDATES: "at least 1.5"}

MARK = "create table mark (id text primary key);"
"""Native replication's last transaction goes here: once it has arrived, everything has."""


def sizes(changes: int) -> dict[str, int]:
    """Changes in a transaction, by name."""
    return {"1 row": 1, "10 rows": 10, "1,000 rows": 1_000, "one transaction": changes}


def measure(server: sa.URL, changes: int, repeats: int) -> Section:
    """Ours and native in turn, on databases of their own; no slot lives while ours writes or drains."""
    samples = Samples()
    for repeat in range(repeats):
        for name, size in sizes(changes).items():
            say(f"catch-up, {name}: round {repeat + 1} of {repeats}")
            for side in (_ours, _native) if repeat % 2 == 0 else (_native, _ours):
                side(server, changes, size, name, samples)
            _laptop(server, changes, size, name, samples)
    return Section(
        title="Catch-up, subject <- visit <- sample, to PostgreSQL",
        note=(
            f"{changes:,} changes; from a stopped replicator to the last row there. Ours rewrites references by "
            "natural key to the server's own ids, and checks foreign keys there. Native replication can do neither: "
            "its target has the source's ids, its apply fires no foreign keys, and it waits for no flush (its default; "
            "what it loses is sent again). It drains PostgreSQL alone; beside SQLite it stands for comparison."
        ),
        figures=list(_figures(samples)),
    )


def _figures(samples: Samples) -> Iterator[Figure]:
    for workload, taken in samples:
        if NATIVE not in taken:
            yield from (Figure(workload=workload, variant=v, unit="s", samples=s) for v, s in taken.items())
            continue
        target = TARGETS.get(workload.partition(",")[0], "")
        yield Figure(workload=workload, variant=NATIVE, unit=UNIT, samples=taken[NATIVE])
        for variant, asked in ((OURS, target), (INSIDE, target), (LAPTOP, "")):
            ratio = Ratio(against=NATIVE, ours=taken[variant], rival=taken[NATIVE], target=asked)
            yield Figure(workload=workload, variant=variant, unit=UNIT, samples=taken[variant], ratios=[ratio])


@contextmanager
def pair(server: sa.URL, more: str = "") -> Iterator[tuple[sa.URL, sa.URL]]:
    """Two databases with the tables of families, and what ``more`` makes in both."""
    with ExitStack() as stack:
        source, target = (
            stack.enter_context(postgres.script_database(server, family.POSTGRESQL + more)) for _ in range(2)
        )
        yield source, target


@contextmanager
def road(server: sa.URL) -> Iterator[tuple[sa.URL, sa.URL, Path]]:
    """Ours between two PostgreSQL databases; the target hands out other ids. Nothing waits."""
    with pair(server) as (source, target):
        postgres.run(target, family.OTHER_IDS)
        with node(postgres.text(source), postgres.text(target), family.KEYS) as path:
            yield source, target, path


@contextmanager
def laptop(server: sa.URL) -> Iterator[tuple[Path, sa.URL, Path]]:
    """Ours from a SQLite file into PostgreSQL. Nothing waits."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = lite.create_all(folder / "field.db", family.SQLITE)
        target = stack.enter_context(postgres.script_database(server, family.POSTGRESQL + family.OTHER_IDS))
        yield file, target, stack.enter_context(node(lite.url(file), postgres.text(target), family.KEYS))


@contextmanager
def subscribed(server: sa.URL) -> Iterator[tuple[sa.URL, sa.URL]]:
    """Native replication between two PostgreSQL databases, disabled."""
    with (
        pair(server, MARK) as (source, target),
        native.subscribed(source, target, ", ".join((*family.KEYS, "mark"))),
    ):
        yield source, target


def _ours(server: sa.URL, changes: int, size: int, name: str, samples: Samples) -> None:
    with road(server) as (source, target, path):
        startup = ours.replicate(path).seconds
        samples.add(STARTUP, OURS, startup)
        for workload, steps in family.WORKLOADS.items():
            postgres.write(source, family.transactions(steps, changes, size))
            postgres.checkpoint(source)
            seconds = ours.replicate(path).seconds
            samples.add(f"{workload}, {name}", OURS, changes / seconds)
            samples.add(f"{workload}, {name}", INSIDE, changes / max(seconds - startup, 1e-3))
            check(postgres.summary(source, family.SUMMARY), postgres.summary(target, family.SUMMARY))


def _native(server: sa.URL, changes: int, size: int, name: str, samples: Samples) -> None:
    with subscribed(server) as (source, target):
        for workload, steps in family.WORKLOADS.items():
            postgres.write(source, family.transactions(steps, changes, size))
            postgres.run(source, f"insert into mark values ('{workload}')")
            postgres.checkpoint(source)
            seconds = native.catch_up(target, f"select 1 from mark where id = '{workload}'")
            samples.add(f"{workload}, {name}", NATIVE, changes / seconds)
            check(postgres.summary(source, family.SUMMARY), postgres.summary(target, family.SUMMARY))
            native.disable(source, target)


def _laptop(server: sa.URL, changes: int, size: int, name: str, samples: Samples) -> None:
    with laptop(server) as (file, target, path):
        for workload, steps in family.WORKLOADS.items():
            lite.write_all(file, family.transactions(steps, changes, size))
            postgres.checkpoint(target)
            samples.add(f"{workload}, {name}", LAPTOP, changes / ours.replicate(path).seconds)
            check(lite.summary(file, family.SUMMARY), postgres.summary(target, family.SUMMARY))


def memory(server: sa.URL, changes: int, _repeats: int) -> Section:
    """Of the replicator's process, once with a backlog and once with one five times as large."""
    figures = []
    for count in (changes, changes * 5):
        say(f"memory: {count:,} changes waiting")
        with road(server) as (source, _, path):
            for workload, steps in family.WORKLOADS.items():
                postgres.write(source, family.transactions(steps, count, 1_000))
                peak = ours.replicate(path).peak
                figures.append(Figure(workload=workload, variant=f"{count:,} changes", unit="MiB peak", samples=[peak]))
    return Section(
        title="Memory of the replicator, PostgreSQL to PostgreSQL",
        note="Transactions of 1,000; asked: flat.",
        figures=figures,
    )


def profile(server: sa.URL, changes: int, repeats: int) -> Section:
    """Where the time of a catch-up goes, PostgreSQL to PostgreSQL."""
    samples = Samples()
    for repeat in range(repeats):
        say(f"profile: round {repeat + 1} of {repeats}")
        with road(server) as (source, _, path):
            for workload, steps in family.WORKLOADS.items():
                postgres.write(source, family.transactions(steps, changes, 1_000))
                postgres.checkpoint(source)
                for room, seconds in ours.profile(path).items():
                    samples.add(workload, room, seconds)
    return Section(
        title="Where the time of a catch-up goes, PostgreSQL to PostgreSQL",
        note=f"{changes:,} changes in transactions of 1,000. A room's own time, waits included; two threads overlap.",
        figures=[Figure(workload=w, variant=v, unit="s", samples=s) for w, taken in samples for v, s in taken.items()],
    )
