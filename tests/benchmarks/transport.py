"""What a road costs: one table over each of them, and three hundred laptops that come back at once."""

import csv
import io
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from cdc_sync import config
from cdc_sync.core.wire import decode_header, zstd
from tests.benchmarks import lite, ours, postgres
from tests.benchmarks.catchup import OURS, check
from tests.benchmarks.measure import Figure, Process, Ratio, Samples, child, machine, rotated, say, started
from tests.benchmarks.report import Report, Section

ROWS = 200_000
REPEATS = 3
LAPTOPS, CHANGES = 300, 1_000
BUNDLED = 10_000
"""Visits in the bundle that is compared with CSV."""

DIRECT, HTTP, BUNDLE = "direct", "HTTP", "bundle"
KINDS = ("PostgreSQL", "SQLite")
SERVER = "community"


def run(rows: int, repeats: int) -> Report:
    """Each road in turn, round after round; laptops and the bundle's size once, scaled with ``rows``."""
    with postgres.server() as server:
        where = machine(postgres.version(server))
        laptops = max(3, LAPTOPS * rows // ROWS)
        sections = [*(_roads(server, kind, rows, repeats) for kind in KINDS), _sizes(server), _laptops(server, laptops)]
    return Report(name="transport", machine=where, rows=rows, repeats=repeats, sections=sections)


# --- one backlog, by each road


@dataclass(frozen=True)
class Ends:
    """A node that writes, as its file says, and the server it goes to, which is reached by any road."""

    source: Path
    server: Path
    write: Callable[[int], None]
    target: sa.URL


def _roads(server: sa.URL, kind: str, rows: int, repeats: int) -> Section:
    samples, sizes = Samples(), Samples()
    roads = {DIRECT: _direct, HTTP: _http, BUNDLE: _bundle}
    for repeat in range(repeats):
        for name in rotated(list(roads), repeat):
            say(f"transport, {kind}, {name}: round {repeat + 1} of {repeats}")
            with _ends(server, kind, name) as ends:
                seconds, size = roads[name](ends, rows)
                samples.add("inserts", name, rows / seconds)
                sizes.add("inserts", name, size / rows)
                check([float(rows)], postgres.summary(ends.target, "select count(*) from t"))
    return Section(
        title=f"From {kind} to PostgreSQL, by road",
        note=f"{rows:,} visits inserted in transactions of 1,000; wall clock of the commands; bytes as sealed.",
        figures=[*_rates(samples), *_bytes(sizes)],
    )


def _rates(samples: Samples) -> Iterator[Figure]:
    for workload, rates in samples:
        for name, rate in rates.items():
            target = "at least 0.8" if name == HTTP else ""
            ratios = [Ratio(against=DIRECT, ours=rate, rival=rates[DIRECT], target=target)] if name != DIRECT else []
            yield Figure(workload=workload, variant=name, unit="rows/s", samples=rate, ratios=ratios)


def _bytes(sizes: Samples) -> Iterator[Figure]:
    for workload, taken in sizes:
        for name, found in taken.items():
            if name != DIRECT:
                yield Figure(workload=workload, variant=name, unit="bytes a row", samples=found)


def _direct(ends: Ends, rows: int) -> tuple[float, float]:
    ours.replicate(ends.source)
    ends.write(rows)
    return ours.replicate(ends.source).seconds, 0.0


def _http(ends: Ends, rows: int) -> tuple[float, float]:
    with _serving(ends.server):
        ours.replicate(ends.source)
        ends.write(rows)
        seconds = ours.replicate(ends.source).seconds
    return seconds, _sealed(ends.target)


def _bundle(ends: Ends, rows: int) -> tuple[float, float]:
    ends.write(rows)
    with tempfile.TemporaryDirectory() as stick:
        seconds = _command(ends.source, "export", "--to", stick, "--for", SERVER)
        size = sum(path.stat().st_size for path in Path(stick).rglob("*.cdcsync"))
        return seconds + _command(ends.server, "import", stick), float(size)


def _command(path: Path, *arguments: str) -> float:
    return child(["-m", "cdc_sync", *arguments, "--config", str(path)]).seconds


def _sealed(target: sa.URL) -> float:
    """Bytes of all batches that came, without their parts' rows: those of the parts stand in the headers."""
    with postgres.connected(target) as connection:
        headers = [bytes(row[0]) for row in connection.execute("select header from cdc_sync.inbox").fetchall()]  # type: ignore[arg-type]
    return float(sum(len(h) + 96 + sum(part.size for part in decode_header(h).parts) for h in headers))


@contextmanager
def _ends(server: sa.URL, kind: str, road: str) -> Iterator[Ends]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = stack.enter_context(postgres.table_database(server))
        if kind == "SQLite":
            file = lite.create(folder / "field.db")
            source, write = lite.url(file), lambda rows: lite.backlog(file, "insert", rows)
        else:
            database = stack.enter_context(postgres.table_database(server))
            source, write = postgres.text(database), lambda rows: postgres.insert_backlog(database, rows)
        port = _free_port()
        there = _node(folder, SERVER, postgres.text(target), f'[serve]\nlisten = "127.0.0.1:{port}"\n')
        url = {DIRECT: postgres.text(target), HTTP: f"http://127.0.0.1:{port}", BUNDLE: ""}[road]
        here = laptop(folder, "laptop", source, url, _public(there))
        _know(there, "laptop", _public(here))
        yield Ends(source=here, server=there, write=write, target=target)


def _node(folder: Path, name: str, database: str, rest: str) -> Path:
    path = folder / name / "cdc-sync.toml"
    path.parent.mkdir()
    path.write_text(f'[node]\nname = "{name}"\ndatabase = "{database}"\n\n{rest}')
    return path


def laptop(folder: Path, name: str, database: str, url: str, key: str) -> Path:
    """A node with triggers."""
    goal = f'[[destinations]]\nname = "{SERVER}"\n' + (f'url = "{url}"\n' if url else "")
    goal += f'key = "{key}"\n' if not url.startswith("postgresql") else ""
    path = _node(folder, name, database, f'[[tables]]\nname = "t"\nkey = ["id"]\n\n{goal}')
    ours.install(path)
    return path


def _public(path: Path) -> str:
    return child(["-m", "cdc_sync", "enroll", "--show", "--config", str(path)]).printed.splitlines()[1].strip()


def _know(server: Path, name: str, key: str) -> None:
    child(["-m", "cdc_sync", "enroll", name, "--key", key, "--config", str(server)])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _serving(path: Path) -> Iterator[Process]:
    """``cdc-sync serve`` for as long as the block runs."""
    port = config.load(path).serve.port
    with started(["-m", "cdc_sync", "serve", "--config", str(path)]) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                break
        yield process
        process.interrupt()


# --- a bundle beside CSV


def _sizes(server: sa.URL) -> Section:
    samples = Samples()
    for kind in KINDS:
        say(f"transport: the size of a bundle from {kind}")
        with _ends(server, kind, BUNDLE) as ends, tempfile.TemporaryDirectory() as stick:
            ends.write(BUNDLED)
            _command(ends.source, "export", "--to", stick, "--for", SERVER)
            size = sum(path.stat().st_size for path in Path(stick).rglob("*.cdcsync"))
            samples.add(kind, BUNDLE, float(size))
            samples.add(kind, "CSV", float(len(zstd.compress(_csv(kind, ends), 3))))
    figures = []
    for kind, taken in samples:
        ratio = Ratio(against="CSV", ours=taken[BUNDLE], rival=taken["CSV"], target="at most 1")
        figures.append(Figure(workload=kind, variant="CSV, zstd -3", unit="bytes", samples=taken["CSV"]))
        figures.append(Figure(workload=kind, variant=BUNDLE, unit="bytes", samples=taken[BUNDLE], ratios=[ratio]))
    return Section(title=f"A bundle of {BUNDLED:,} visits", note="Signatures and encryption included.", figures=figures)


def _csv(kind: str, ends: Ends) -> bytes:
    """The same rows as CSV, as the source's own tool would write them."""
    settings = config.load(ends.source)
    if kind == "SQLite":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        with lite.connected(Path(sa.make_url(settings.node.database).database or "")) as connection:
            writer.writerows(connection.execute("select * from t order by id"))
        return text.getvalue().encode()
    with (
        postgres.connected(sa.make_url(settings.node.database)) as connection,
        connection.cursor().copy("copy (select * from t order by id) to stdout csv") as copy,
    ):
        return b"".join(bytes(piece) for piece in copy)


# --- many laptops at once


def _laptops(server: sa.URL, count: int) -> Section:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        target = stack.enter_context(postgres.table_database(server))
        port = _free_port()
        there = _node(folder, SERVER, postgres.text(target), f'[serve]\nlisten = "127.0.0.1:{port}"\n')
        key = _public(there)
        say(f"transport: {count} laptops are set up")
        child(["-m", "tests.benchmarks.laptops", "make", str(folder), str(count), str(port), key])
        say(f"transport: {count} laptops come back")
        with _serving(there) as process:
            printed = child(["-m", "tests.benchmarks.laptops", "go", str(folder), str(count)]).printed
            check([float(count * CHANGES)], postgres.summary(target, "select count(*) from t"))
        peak = process.finished.peak
    seconds = float(printed.split()[-1])
    return Section(
        title=f"{count} laptops reconnect at once, {CHANGES:,} changes each",
        note="Clients and server share this machine; until every row is applied.",
        figures=[
            Figure(workload="until all is applied", variant=OURS, unit="s", samples=[seconds]),
            Figure(workload="all of them", variant=OURS, unit="rows/s", samples=[count * CHANGES / seconds]),
            Figure(workload="the server", variant=OURS, unit="MiB peak", samples=[peak], target="below 400"),
        ],
    )
