"""Many laptops in one process: ``make FOLDER COUNT PORT KEY`` sets them up and enrols them, ``go FOLDER COUNT`` has all
of them replicate at once, a thread each, and prints the seconds until the last one is done.
"""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from cdc_sync import clock, config, databases, identity, loop, peers, ship
from cdc_sync.core import device
from cdc_sync.core.peers import Peer
from tests.benchmarks import lite, transport


def make(folder: Path, count: int, port: int, key: str) -> None:
    """Each has its own rows, under ids of its own."""
    server = config.load(folder / transport.SERVER / "cdc-sync.toml")
    with databases.connect(server.node.database, server.folder) as database:
        for i in range(count):
            name = f"laptop-{i}"
            file = lite.create(folder / f"{name}.db")
            path = transport.laptop(folder, name, lite.url(file), f"http://127.0.0.1:{port}", key)
            with lite.connected(file) as connection:
                lite.insert(connection, i * transport.CHANGES + 1, (i + 1) * transport.CHANGES)
            public = device.public_of(identity.load(config.load(path).key_path))
            peers.enroll(database, server.node.name, Peer(name=name, public_key=public, enrolled_at=clock.now()))


def go(folder: Path, count: int) -> float:
    """Seconds until the last of them has the receipt that everything is applied."""
    start = threading.Barrier(count + 1)

    def replicate(i: int) -> None:
        settings = config.load(folder / f"laptop-{i}" / "cdc-sync.toml")
        start.wait()
        loop.drain(settings, ship.Progress())

    with ThreadPoolExecutor(count) as pool:
        done = [pool.submit(replicate, i) for i in range(count)]
        start.wait()
        began = time.perf_counter()
        for future in done:
            future.result()
    return time.perf_counter() - began


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        click.echo(go(Path(sys.argv[2]), int(sys.argv[3])))
