"""``replicate``, once or until it is stopped: round after round, soon where changes come, seldom where none do."""

import threading
import time
from collections.abc import Callable

from cdc_sync.config import Config
from cdc_sync.delivery import LONGEST_WAIT, Delivered, Fetched, Progress
from cdc_sync.errors import CdcSyncError, ConfigError, Unreachable
from cdc_sync.ship import Replicator

POLL = 1.0
"""Seconds between two rounds of a quiet node, which see what no change tells of: tables that were altered, letters."""

SHORTEST, LONGEST = 0.001, 0.1
"""Seconds between two looks for changes: soon after the last one, and once nothing has come for a while.

Nothing tells a replicator of a commit without a cost to who commits: ``notify`` has all commits of a server wait for
each other. A look costs half a millisecond.
"""

SLOWER = 1.3
"""How much later each look comes than the one before, until something has come."""

OPEN = 10.0
"""Seconds of quiet after which roads are left."""


def _nobody(_done: Delivered | Fetched) -> None:
    """Told of what was done."""


def drain(
    config: Config, progress: Progress, tell: Callable[[Delivered | Fetched], None] = _nobody
) -> list[Delivered | Fetched]:
    """Send, fetch and apply everything that waits, then end. ``tell`` hears what was done, also before an error."""
    with Replicator(config, progress).running() as replicator:
        replicator.check()
        try:
            replicator.round()
        except CdcSyncError:
            for each in replicator.done:
                tell(each)
            raise
        done = [replicator.with_waiting(each) for each in replicator.done]
        for each in done:
            tell(each)
        if replicator.carrier.errors:
            raise replicator.carrier.errors[0]
        return done


def run(config: Config, progress: Progress, stop: threading.Event, report: Callable[[CdcSyncError], None]) -> None:
    """Go on until ``stop`` is set. Backs off from what fails, and ends on what cannot mend itself."""
    with Replicator(config, progress).running() as replicator:
        wait, active = POLL, time.monotonic()
        while not stop.is_set():
            try:
                if replicator.round():
                    active = time.monotonic()
                for error in replicator.carrier.news:
                    report(error)
                wait = POLL
            except CdcSyncError as error:
                if isinstance(error, ConfigError) and not isinstance(error, Unreachable):
                    raise
                report(error)
                wait = min(wait * 2, LONGEST_WAIT)
                stop.wait(wait)
                continue
            if time.monotonic() > active + OPEN:
                replicator.rest()
            _watch(replicator, stop, quiet=time.monotonic() - active)


def _watch(replicator: Replicator, stop: threading.Event, quiet: float) -> None:
    """Look for changes until there are some or a round is due: often while they keep coming, then ever more seldom."""
    due = time.monotonic() + POLL
    pause = min(max(SHORTEST, quiet * (SLOWER - 1)), LONGEST)
    while not stop.wait(pause) and time.monotonic() < due and not replicator.waits():
        pause = min(pause * SLOWER, LONGEST)
