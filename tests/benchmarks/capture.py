"""What capture adds to the writer's time: ours against other triggers, and all of them against no trigger."""

from tests.benchmarks import capture_postgresql, capture_sqlite, postgres
from tests.benchmarks.measure import machine
from tests.benchmarks.report import Report
from tests.benchmarks.table import VISIT, WIDE

ROWS = 50_000
REPEATS = 5

NARROWER = 10
"""The wide table gets a tenth of the rows, about as many values."""


def run(rows: int, repeats: int) -> Report:
    """Added microseconds per row on both databases, of ten columns and of a hundred."""
    tables = {VISIT: rows, WIDE: max(rows // NARROWER, 1_000)}
    with postgres.server(autovacuum="off") as server:
        where = machine(postgres.version(server))
        sections = [capture_postgresql.measure(server, table, count, repeats) for table, count in tables.items()]
    sections += [capture_sqlite.measure(table, count, repeats) for table, count in tables.items()]
    return Report(name="capture", machine=where, rows=rows, repeats=repeats, sections=sections)
