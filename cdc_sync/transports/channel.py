"""What passes from the thread that seals to the one that sends: so much and no more, and nobody waits for good."""

import queue
import threading
import time
from typing import Generic, TypeVar

from cdc_sync.errors import CdcSyncError

WAITING = 12
"""Chunks of rows at most on the way, each of some 2 MiB."""

PATIENCE = 5.0
"""Seconds that a seal waits for who takes more slowly than it reads; then it goes on without."""

Item = TypeVar("Item")


class GivenUp(CdcSyncError):
    """The batch comes by the ordinary road, once it is sealed."""


class Channel(Generic[Item]):
    """``over`` ends it from either side; who gives hears nothing of it, who takes is told."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._items: queue.Queue[Item] = queue.Queue(WAITING)

    def put(self, item: Item) -> None:
        last = time.monotonic() + PATIENCE
        while not self.over.is_set():
            try:
                self._items.put(item, timeout=0.1)
            except queue.Full:
                if time.monotonic() > last:
                    self.over.set()
            else:
                return

    def take(self) -> Item:
        """The next one. Raises GivenUp once it is over."""
        while not self.over.is_set():
            try:
                return self._items.get(timeout=0.1)
            except queue.Empty:
                continue
        raise GivenUp("the stream was given up")
