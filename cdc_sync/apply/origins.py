"""Batches of many origins at once: each origin's in order, the origins side by side."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cdc_sync.apply.parts import revive
from cdc_sync.apply.whole import Applied
from cdc_sync.core.conflicts import Policies
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import DatabaseError

WORKERS = 4
"""Origins that are applied at the same time, each over a connection of its own."""

TRIES = 8
"""Times that a transaction is tried which another one was in the way of."""

PAUSE = 0.02
"""Seconds of rest before the second try, twice as long before the next, each more or less: the other one ends first."""

Result = TypeVar("Result")


def persistently(work: Callable[[], Result], database: Database) -> Result:
    """Do a transaction's work again where it fell victim to another one (deadlock, serialization failure)."""
    for attempt in range(TRIES):
        try:
            return work()
        except DatabaseError as error:
            if error.code not in database.contended or attempt == TRIES - 1:
                raise
        time.sleep(PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
    raise AssertionError("the last try neither returned nor raised")


def drain(database: Database, policies: Policies, next_one: Callable[[str, str], Applied | None]) -> int:
    """Apply everything that is stored, of every origin; returns how many batches were applied.

    One origin's failure does not keep the others back. Raises the first error, after all have had their turn.
    """
    with database.begin(Mode.READ) as session:
        waiting = [row[:2] for row in session.run("positions") if row[3] < row[2]]
    if not waiting:
        return 0
    workers = min(len(waiting), WORKERS if database.many_writers else 1)
    with ThreadPoolExecutor(workers, "apply") as pool:
        done = [pool.submit(_drain_one, next_one, origin, epoch) for origin, epoch in waiting]
    revive(database, policies)
    errors = [future.exception() for future in done]
    failed = next((error for error in errors if error is not None), None)
    if failed is not None:
        raise failed
    return sum(future.result() for future in done)


def _drain_one(next_one: Callable[[str, str], Applied | None], origin: str, epoch: str) -> int:
    count = 0
    while next_one(origin, epoch) is not None:
        count += 1
    return count
