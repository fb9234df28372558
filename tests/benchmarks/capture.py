"""What capture adds to the writer's time: ours against other triggers, and all of them against no trigger."""

from tests.benchmarks import capture_postgresql, capture_sqlite, postgres
from tests.benchmarks.measure import machine
from tests.benchmarks.report import Report

ROWS = 50_000
REPEATS = 7


def run(rows: int, repeats: int) -> Report:
    """Added microseconds per row on both databases."""
    with postgres.server(autovacuum="off") as server:
        where = machine(postgres.version(server))
        sections = [capture_postgresql.measure(server, rows, repeats), capture_sqlite.measure(rows, repeats)]
    return Report(name="capture", machine=where, rows=rows, repeats=repeats, sections=sections)
