"""Where the time of a catch-up goes: ``replicate --once`` in a process that keeps a clock on each of its rooms.

``python -m tests.benchmarks.profiled FILE`` prints seconds by room as JSON. A room's time is its own, without that of
the rooms inside it. The thread that reads and seals and the one that stages and writes overlap: their sums do not add
up to the whole. What a room waits for a server, or for the other thread, is its own too.
"""

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from cdc_sync import config, follow, inbox, loop, receive, seal, ship
from cdc_sync.apply import batch, judge, work
from cdc_sync.databases import postgresql

ROOMS: dict[str, Iterable[tuple[Any, str]]] = {
    "seal: look at the tables": [(follow, "source")],
    "seal: prepare": [(seal, "_read")],
    "seal: read rows": [(seal, "_read_sections")],
    "seal: hand rows over": [(inbox.Stream, "rows")],
    "seal: store parts": [(postgresql.PostgreSQL, "store_parts")],
    "seal: sign and clear": [(seal, "_store"), (seal, "_clear")],
    "seal: tidy": [(postgresql.PostgreSQL, "tidy_changes")],
    "ship: wait for the stream's end": [(inbox.Stream, "finish")],
    "apply: prepare": [(batch.Batch, "__init__")],
    "apply: wait for rows": [(inbox.Stream, "_next")],
    "apply: stage": [(batch.Batch, "load")],
    "apply: net effect": [(work.Work, name) for name in ("settle", "mark", "withdraw")],
    "apply: write": [(work.Work, name) for name in ("write", "point_forward", "delete")],
    "apply: judge": [(judge.Judge, name) for name in ("marked", "living", "leave", "bury")],
    "apply: versions": [(work.Work, "stamp")],
    "apply: note the batch": [(receive, "admit"), (receive, "enter")],
    "the rest, main thread": [(ship.Replicator, "round")],
    "the rest, stream": [(inbox.Stream, "_work")],
}


class Clock:
    """Seconds by room, each without those of the rooms inside it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inside = threading.local()

    def watch(self, owner: Any, name: str, room: str) -> None:
        """Have a function timed wherever it is called."""
        setattr(owner, name, self._timed(getattr(owner, name), room))

    def _timed(self, function: Callable[..., Any], room: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            outside = getattr(self._inside, "spent", 0.0)
            self._inside.spent = 0.0
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - began
                self.seconds[room] += took - self._inside.spent
                self._inside.spent = outside + took

        return timed


def main(path: Path) -> None:
    clock = Clock()
    for room, functions in ROOMS.items():
        for owner, name in functions:
            clock.watch(owner, name, room)
    began = time.perf_counter()
    loop.drain(config.load(path), ship.Progress())
    seconds = {**{room: clock.seconds[room] for room in ROOMS}, "whole": time.perf_counter() - began}
    click.echo(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
