"""What the commands share: the option that names the file, and a progress bar where somebody watches."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cdc_sync import ship

if TYPE_CHECKING:
    from rich.progress import Progress


def config_option(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path),
        default=Path("cdc-sync.toml"),
        show_default=True,
        help="The configuration file.",
    )
    return option(command)


class _Bar(ship.Progress):
    """A progress bar for what takes a while."""

    def __init__(self, bar: "Progress", what: str) -> None:
        self.bar = bar
        self.task = bar.add_task(what, total=0)

    def waiting(self, rows: int) -> None:
        self.bar.update(self.task, total=(self.bar.tasks[0].total or 0) + rows)

    def applied(self, rows: int) -> None:
        self.bar.advance(self.task, rows)


@contextmanager
def progress(what: str = "changes") -> Iterator[ship.Progress | None]:
    """A bar on a terminal; None elsewhere, where counting what there is would be for nobody."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console  # only where a bar is drawn: rich costs a tenth of a second at every start
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar, what)
