"""``cdc-sync`` processes that die by SIGKILL: just before or after their n-th commit, or after some milliseconds.

A fresh interpreter spends 0.8 s on imports. So one process imports everything, opens nothing, and forks a child for
each run; the child is a process of its own, with connections of its own, and its death is the kernel's doing.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Self

from sqlalchemy.engine.default import DefaultDialect


@dataclass(frozen=True)
class Run:
    """A command line of ``cdc-sync``, and when to die: ``before`` or ``after`` the commit of this number, or ``within``
    so many milliseconds; 0: never.
    """

    moment: str
    number: int
    arguments: Sequence[str]


class Runner:
    """The process that forks. A context manager; ``run`` returns the child's exit code, negative for a signal."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.journeys.killed"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=10)

    def run(self, run: Run) -> tuple[int, str]:
        """The child's exit code, and what it printed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asdict(run)) + "\n")
        self.process.stdin.flush()
        code, output = json.loads(self.process.stdout.readline())
        return code, output


def die_at(moment: str, number: int) -> None:
    """Count every commit of this process, in whichever database, and die at the chosen one."""
    commit: Callable[[Any, Any], None] = DefaultDialect.do_commit
    count = 0

    def counted(self: Any, connection: Any) -> None:
        nonlocal count
        count += 1
        if moment == "before" and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, connection)
        if moment == "after" and count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = counted  # type: ignore[method-assign]


def die_within(milliseconds: int) -> None:
    if milliseconds:
        timer = threading.Timer(milliseconds / 1000, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


def serve() -> None:
    """Fork a child for each line of standard input and answer with how it ended."""
    from cdc_sync import cli
    from cdc_sync.databases import postgresql, sqlite

    assert postgresql and sqlite, "imported here, so that no child imports them"
    gc.freeze()
    for line in sys.stdin:
        wanted = Run(**json.loads(line))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _become(wanted, writing, cli.main)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
            output = pipe.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), output]), flush=True)  # noqa: T201


def _become(wanted: Run, output: int, main: Any) -> None:
    """Be ``cdc-sync`` from here on: nothing returns into the parent's loop."""
    code = 70
    with ExitStack() as stack:
        stack.callback(lambda: os._exit(code))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if wanted.moment == "within":
            die_within(wanted.number)
        else:
            die_at(wanted.moment, wanted.number)
        try:
            main(list(wanted.arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve()
