"""A road that breaks: a proxy that cuts, delays, doubles and reorders what passes, at bytes that chance chooses."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

FAULTS = ("cut", "delay", "duplicate", "reorder", "none")

Address = tuple[str, int] | str
"""Host and port, or the path of a socket."""


@dataclass(frozen=True)
class Fault:
    """What happens to one direction of one connection once so many bytes have passed."""

    kind: str
    after: int


class Proxy:
    """Passes connections on to ``target``, and harms them while it is not ``calm``."""

    def __init__(self, target: Address, chance: random.Random, reach: int = 6_000) -> None:
        self.target = target
        self.chance = chance
        self.reach = reach
        self.calm = False
        self.harmed = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for end in self._open:
            _close(end)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = _connected(self.target)
            except OSError:
                _close(near)
                continue
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink, self._fault()), daemon=True).start()

    def _fault(self) -> Fault:
        kind = "none" if self.calm else self.chance.choice(FAULTS)
        return Fault(kind, int(self.reach ** self.chance.random()))

    def _pass(self, source: socket.socket, sink: socket.socket, fault: Fault) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(4096):
                if fault.kind != "none" and passed + len(data) > fault.after:
                    self.harmed += 1
                    if not _harm(sink, data, max(0, fault.after - passed), fault.kind):
                        break
                    fault = Fault("none", 0)
                else:
                    sink.sendall(data)
                passed += len(data)
        _close(source)
        _close(sink)


def _harm(sink: socket.socket, data: bytes, at: int, kind: str) -> bool:
    """Do it to these bytes, from the one at ``at`` on; False where nothing may follow.

    What is doubled or reordered is followed by nothing: who waits for the rest of it would wait for good.
    """
    before, after = data[:at], data[at:]
    if kind == "cut":
        sink.sendall(before)
        return False
    if kind == "delay":
        time.sleep(0.05)
        sink.sendall(data)
        return True
    if kind == "duplicate":
        sink.sendall(before + after + after)
    else:
        sink.sendall(after + before if before else after[len(after) // 2 :] + after[: len(after) // 2])
    time.sleep(0.02)
    return False


def _connected(target: Address) -> socket.socket:
    if isinstance(target, str):
        end = socket.socket(socket.AF_UNIX)
        end.connect(target)
        return end
    return socket.create_connection(target, timeout=10)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def proxy(target: Address, seed: int, reach: int = 6_000) -> Iterator[Proxy]:
    """A proxy for as long as the block runs; ``reach`` is the farthest byte at which something happens."""
    made = Proxy(target, random.Random(seed), reach)
    try:
        yield made
    finally:
        made.close()
