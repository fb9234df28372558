"""Changes with two levels of natural keys on their way into the server's tables: catch-up, memory and lag."""

from collections.abc import Callable

import sqlalchemy as sa

from tests.benchmarks import apply_catchup, lag, postgres
from tests.benchmarks.measure import machine
from tests.benchmarks.report import Report, Section

ROWS = 200_000
REPEATS = 3

Measure = Callable[[sa.URL, int, int], Section]


def run(rows: int, repeats: int) -> Report:
    """Catch-up of ``rows`` changes, memory with as many and with five times as many, and lag."""
    return _report("apply", rows, repeats, apply_catchup.measure, apply_catchup.memory, lag.measure)


def run_lag(rows: int, repeats: int) -> Report:
    """Lag alone, for as many rows."""
    return _report("lag", rows, repeats, lag.measure_rows)


def run_profile(rows: int, repeats: int) -> Report:
    """Where the time of a catch-up goes."""
    return _report("profile", rows, repeats, apply_catchup.profile)


def _report(name: str, rows: int, repeats: int, *measures: Measure) -> Report:
    with postgres.server(wal_level="logical") as server:
        where = machine(postgres.version(server))
        sections = [measure(server, rows, repeats) for measure in measures]
    return Report(name=name, machine=where, rows=rows, repeats=repeats, sections=sections)
