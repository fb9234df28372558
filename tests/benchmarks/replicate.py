"""How fast a backlog drains, in how much memory, and what the application notices of it."""

from tests.benchmarks import catchup, memory, postgres, waits
from tests.benchmarks.measure import machine
from tests.benchmarks.report import Report

ROWS = 500_000
REPEATS = 3


def run(rows: int, repeats: int) -> Report:
    """Catch-up of ``rows`` changes; memory with twice as many; waits beside two fifths of them."""
    with postgres.server(wal_level="logical") as server:
        where = machine(postgres.version(server))
        sections = [
            catchup.postgresql(server, rows, repeats),
            catchup.sqlite(server, rows, repeats),
            memory.measure(server, rows * 2),
            waits.measure(server, rows * 2 // 5, repeats),
        ]
    return Report(name="replicate", machine=where, rows=rows, repeats=repeats, sections=sections)
