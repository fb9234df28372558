"""What a server does with batches that are stored: it applies them, in a thread of its own, as they come."""

import logging
import threading
import time
from collections.abc import Callable

from cdc_sync import apply
from cdc_sync.apply import Applied, origins
from cdc_sync.config import Config
from cdc_sync.core.talk import Refusal
from cdc_sync.databases import Database
from cdc_sync.web.answers import described, refusal

log = logging.getLogger("cdc_sync")

Chain = tuple[str, str]
"""An origin and an epoch."""

REST = 5.0
"""Seconds after which it looks by itself: others may store here too, over a connection or from a stick."""

TURN = 1.0
"""Seconds after which an origin makes room for those that came meanwhile."""

AGAIN = 30.0
"""Seconds before a chain is tried again that could not be applied, unless something of it arrives."""

SOON = 1.0
"""Seconds before it is tried again where its origin asks."""


class Applier:
    """Applies everything that is stored, of all origins side by side.

    ``told`` hears of each chain that moved; ``rest`` is called once nothing is left to do.
    """

    def __init__(
        self, database: Database, config: Config, told: Callable[[Chain], None], rest: Callable[[], None]
    ) -> None:
        self._database = database
        self._rest = rest
        self._policies = config.policies
        self._told = told
        self._wake = threading.Event()
        self._over = threading.Event()
        self._failed: dict[Chain, tuple[float, Refusal]] = {}
        self._thread = threading.Thread(target=self._work, name="apply")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once the batches in hand are applied."""
        self._over.set()
        self._wake.set()
        self._thread.join()

    def wake(self, *arrived: Chain) -> None:
        """Something was stored."""
        for chain in arrived:
            self._failed.pop(chain, None)
        self._wake.set()

    def nudge(self, chain: Chain) -> None:
        """Somebody waits for it: what kept it back may be mended."""
        at, _ = self._failed.get(chain, (float("inf"), None))
        if time.monotonic() > at + SOON:
            self.wake(chain)

    def trouble(self, chain: Chain) -> Refusal | None:
        """What keeps a chain from being applied."""
        _, found = self._failed.get(chain, (0.0, None))
        return found

    def _work(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            try:
                moved = origins.drain(self._database, self._policies, self._turns())
                if not moved:
                    self._rest()
            except Exception as error:
                log.error("what is stored cannot be applied now: %s", described(error))
                moved = 0
            if not moved:
                self._wake.wait(REST)

    def _turns(self) -> Callable[[str, str], Applied | None]:
        until = time.monotonic() + TURN

        def turn(origin: str, epoch: str) -> Applied | None:
            if self._over.is_set() or time.monotonic() > until:
                return None
            return self._next((origin, epoch))

        return turn

    def _next(self, chain: Chain) -> Applied | None:
        at, _ = self._failed.get(chain, (float("-inf"), None))
        if time.monotonic() < at + AGAIN:
            return None
        try:
            applied = apply.apply_next(self._database, *chain, self._policies)
        except Exception as error:
            log.warning("batches of node %r wait here: %s", chain[0], described(error))
            self._failed[chain] = (time.monotonic(), refusal(error, str(self._database)))
        else:
            self._failed.pop(chain, None)
            if applied is None:
                return None
        self._told(chain)
        return applied if chain not in self._failed else None
