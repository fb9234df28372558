"""``python -m tests.benchmarks capture|replicate``: options in, one call, a table or JSON out."""

from collections.abc import Callable

import click

from tests.benchmarks import capture, replicate
from tests.benchmarks.report import Report

Benchmark = Callable[[int, int], Report]

BENCHMARKS: dict[str, tuple[Benchmark, int, int]] = {
    "capture": (capture.run, capture.ROWS, capture.REPEATS),
    "replicate": (replicate.run, replicate.ROWS, replicate.REPEATS),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option("--rows", type=click.IntRange(min=1_000), help="Rows of a workload: capture 50,000, replicate 500,000.")
@click.option("--repeats", type=click.IntRange(min=1), help="Rounds: capture 5, replicate 3.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with every sample.")
def main(name: str, rows: int | None, repeats: int | None, *, as_json: bool) -> None:
    """Measure capture (what writers pay) or replicate (how fast a backlog drains). Progress goes to stderr."""
    benchmark, usual_rows, usual_repeats = BENCHMARKS[name]
    report = benchmark(rows or usual_rows, repeats or usual_repeats)
    if as_json:
        click.echo(report.json())
    else:
        report.show()


if __name__ == "__main__":
    main()
