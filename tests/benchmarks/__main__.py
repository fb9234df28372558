"""``python -m tests.benchmarks NAME``: options in, one call, a table or JSON out."""

from collections.abc import Callable

import click

from tests.benchmarks import apply, capture, lag, replicate, transport
from tests.benchmarks.report import Report

Benchmark = Callable[[int, int], Report]

BENCHMARKS: dict[str, tuple[Benchmark, int, int]] = {
    "capture": (capture.run, capture.ROWS, capture.REPEATS),
    "replicate": (replicate.run, replicate.ROWS, replicate.REPEATS),
    "apply": (apply.run, apply.ROWS, apply.REPEATS),
    "lag": (apply.run_lag, int(lag.SECONDS / lag.PERIOD), apply.REPEATS),
    "transport": (transport.run, transport.ROWS, transport.REPEATS),
    "profile": (apply.run_profile, apply.ROWS, apply.REPEATS),
}


@click.command()
@click.argument("name", type=click.Choice(sorted(BENCHMARKS)))
@click.option(
    "--rows", type=click.IntRange(min=1_000), help="Rows of a workload; each benchmark has its own usual number."
)
@click.option("--repeats", type=click.IntRange(min=1), help="Rounds: capture 5, the others 3.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with every sample.")
def main(name: str, rows: int | None, repeats: int | None, *, as_json: bool) -> None:
    """Measure ours beside its rivals. Progress goes to stderr.

    capture: what writers pay. replicate: how fast a backlog of one table drains. apply: three tables with two levels of
    natural keys: catch-up, memory, lag. lag: that alone. profile: where the time of a catch-up goes. transport: what
    each road costs, and 300 laptops at once.
    """
    benchmark, usual_rows, usual_repeats = BENCHMARKS[name]
    report = benchmark(rows or usual_rows, repeats or usual_repeats)
    if as_json:
        click.echo(report.json())
    else:
        report.show()


if __name__ == "__main__":
    main()
