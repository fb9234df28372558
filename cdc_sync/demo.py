"""The field story on SQLite files: two laptops and a community server."""

from pathlib import Path

from rich.console import Console


def play(keep: Path | None, console: Console) -> None:
    raise NotImplementedError
