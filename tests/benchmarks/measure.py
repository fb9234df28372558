"""Samples, medians, ratios with their spread, clocks, and the machine that all of it was measured on."""

import atexit
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median

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


@cache
def _as_installed() -> dict[str, str]:
    """The environment, with bytecode kept between runs as in every installation: compiling ours anew costs 0.4 s."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder.name}


def child(arguments: Sequence[str]) -> Finished:
    """Run Python with these arguments. Raises RuntimeError with the child's last words where it fails.

    Linux counts the parent's own peak at the fork as the child's, so whoever measures memory must stay lean.
    """
    with tempfile.TemporaryFile() as words:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=words, env=_as_installed()
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            raise RuntimeError(f"{arguments} ended with {process.returncode}: {words.read().decode()[-2000:]}")
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Finished(seconds=seconds, peak=usage.ru_maxrss / unit)


@dataclass(slots=True)
class Samples:
    """Samples by workload and variant, in the order in which they came."""

    taken: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, workload: str, variant: str, sample: float) -> None:
        self.taken.setdefault(workload, {}).setdefault(variant, []).append(sample)

    def __iter__(self) -> Iterator[tuple[str, dict[str, list[float]]]]:
        return iter(self.taken.items())
