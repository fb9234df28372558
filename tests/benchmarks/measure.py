"""Samples, medians, ratios with their spread, clocks, and the machine that all of it was measured on."""

import atexit
import os
import platform
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import IO

import click


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Ours against a rival, repeat by repeat. ``target`` is the ratio asked for, in words."""

    against: str
    ours: Sequence[float]
    rival: Sequence[float]
    target: str = ""

    @property
    def value(self) -> float | None:
        """The ratio of the medians; None where the rival's median is lost in noise."""
        return median(self.ours) / median(self.rival) if median(self.rival) > 0 else None

    @property
    def spread(self) -> list[float]:
        """One ratio for each repeat, of neighbours in time."""
        return [ours / rival for ours, rival in zip(self.ours, self.rival, strict=True) if rival > 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity: a sample for each repeat, and what it is compared with."""

    workload: str
    variant: str
    unit: str
    samples: Sequence[float]
    ratios: Sequence[Ratio] = ()
    target: str = ""

    @property
    def median(self) -> float:
        return median(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and when: figures mean little without it. ``load`` is the 1-minute load average at the start."""

    cpu: str
    cores: int
    load: float
    system: str
    python: str
    sqlite: str
    postgresql: str
    date: str


def machine(postgresql: str) -> Machine:
    """This machine. ``postgresql`` is the version that the server names."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 0,
        load=round(os.getloadavg()[0], 2),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        postgresql=postgresql,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that ``percent`` of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def rotated(items: Sequence[str], by: int) -> list[str]:
    """The items beginning elsewhere, so that no variant is always the first."""
    start = by % len(items)
    return [*items[start:], *items[:start]]


def added(samples: Mapping[str, Sequence[float]], variant: str, base: str) -> list[float]:
    """What a variant costs on top of ``base``, repeat by repeat."""
    return [mine - theirs for mine, theirs in zip(samples[variant], samples[base], strict=True)]


def say(text: str) -> None:
    """Tell the person who waits what is going on; standard output stays clean."""
    click.echo(text, err=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A child process that has ended: wall-clock seconds with its start, and its peak resident memory in MiB."""

    seconds: float
    peak: float
    printed: str


@cache
def _as_installed() -> dict[str, str]:
    """The environment, with bytecode kept between runs as in every installation: compiling ours anew costs 0.4 s."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder.name}


class Process:
    """A child process that runs Python, what it prints, and its last words."""

    def __init__(self, arguments: Sequence[str], printed: IO[bytes], words: IO[bytes]) -> None:
        self.arguments = arguments
        self.printed = printed
        self.words = words
        self.finished = Finished(seconds=0, peak=0, printed="")
        self.began = time.perf_counter()
        self.process = subprocess.Popen([sys.executable, *arguments], stdout=printed, stderr=words, env=_as_installed())

    def interrupt(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    @property
    def busy(self) -> float:
        """Seconds of processor time until now, of all its threads. Linux only."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def ended(self) -> Finished:
        """Wait for its end. Raises RuntimeError with its last words where it fails."""
        _, status, usage = os.wait4(self.process.pid, 0)
        seconds = time.perf_counter() - self.began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            self.words.seek(0)
            words = self.words.read().decode()[-2000:]
            raise RuntimeError(f"{self.arguments} ended with {self.process.returncode}: {words}")
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        self.printed.seek(0)
        return Finished(seconds=seconds, peak=usage.ru_maxrss / unit, printed=self.printed.read().decode())


@contextmanager
def started(arguments: Sequence[str]) -> Iterator[Process]:
    """Run Python with these arguments beside the block, which makes it end; it is killed where the block fails."""
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as words:
        process = Process(arguments, printed, words)
        try:
            yield process
        except BaseException:
            process.process.kill()
            process.process.wait()
            raise
        process.finished = process.ended()


def child(arguments: Sequence[str]) -> Finished:
    """Run Python with these arguments until it ends. Raises RuntimeError with its last words where it fails.

    Linux counts the parent's own peak at the fork as the child's, so whoever measures memory must stay lean.
    """
    with started(arguments) as process:
        pass
    return process.finished


@dataclass(slots=True)
class Samples:
    """Samples by workload and variant, in the order in which they came."""

    taken: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, workload: str, variant: str, sample: float) -> None:
        self.taken.setdefault(workload, {}).setdefault(variant, []).append(sample)

    def __iter__(self) -> Iterator[tuple[str, dict[str, list[float]]]]:
        return iter(self.taken.items())
