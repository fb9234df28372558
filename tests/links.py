"""A link that breaks: it cuts, delays, doubles and mixes up what passes, at random places."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FAULTS = ("none", "cut", "delay", "double", "mix")


class Link:
    """Forwards connections to a port of this machine; ``faults`` says what happens to each, one after the other."""

    def __init__(self, port: int, random_: random.Random, often: float) -> None:
        self._goal = port
        self._random = random_
        self._often = often
        self.broken = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in list(self._open):
            _end(line)
        for thread in list(self._threads):
            thread.join(10)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._goal))
            except OSError:
                return
            self._open |= {client, server}
            self._start(self._forward, client, server)
            self._start(self._forward, server, client)

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        fault = self._random.choice(FAULTS) if self._random.random() < self._often else "none"
        left = int(self._random.expovariate(1 / 2000)) if fault != "none" else -1
        try:
            while data := one.recv(4096):
                if 0 <= left < len(data):
                    self.broken += 1
                    data = self._hurt(fault, data, left)
                    if data is None:
                        break
                    left = -1
                elif left >= 0:
                    left -= len(data)
                other.sendall(data)
        except OSError:
            pass
        finally:
            for line in (one, other):
                _end(line)
                self._open.discard(line)

    def _hurt(self, fault: str, data: bytes, at: int) -> bytes | None:
        if fault == "delay":
            time.sleep(self._random.uniform(0, 0.2))
            return data
        if fault == "double":
            return data[:at] + data[at : at + 100] + data[at:]
        if fault == "mix":
            return data[:at] + data[at + 50 : at + 100] + data[at : at + 50] + data[at + 100 :]
        return None


def _end(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def link(port: int, seed: int, often: float = 0.6) -> Iterator[Link]:
    """A link to a port, of which ``often`` of the ways break."""
    made = Link(port, random.Random(seed), often)
    try:
        yield made
    finally:
        made.close()
