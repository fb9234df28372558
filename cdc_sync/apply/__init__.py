"""The fifth room: stored batches become rows of the server's tables, each in one transaction with its position.

A batch is written as a whole where that can be done. Where a row of it cannot be written, the others are: it is put
aside as a letter, with all that is said of it, and tried again when its parent arrives, when it changes again, or when
a person asks for it. The position moves on, and nothing else waits.
"""

from cdc_sync.apply import origins
from cdc_sync.apply.batch import Batch
from cdc_sync.apply.judge import Bench
from cdc_sync.apply.origins import persistently
from cdc_sync.apply.parts import apply_in_parts, decide, retry, revive
from cdc_sync.apply.whole import Applied, apply_whole, check_free, finish, quiet, writing
from cdc_sync.core.conflicts import Policies
from cdc_sync.databases import Database
from cdc_sync.errors import CdcSyncError, ConfigError, DatabaseError, RejectedBatch

__all__ = [
    "Applied",
    "Batch",
    "Bench",
    "apply_next",
    "check_free",
    "decide",
    "drain",
    "finish",
    "quiet",
    "retry",
    "revive",
    "writing",
]


def apply_next(database: Database, origin: str, epoch: str, policies: Policies) -> Applied | None:
    """Apply the origin's next stored batch; None where everything is applied.

    Raises ConfigError where the target lacks a table or a column, or its role a right, and DatabaseError for what may
    pass: then nothing of the batch is applied. Anything else is put aside row by row, and told by ``Applied``.
    """
    return persistently(lambda: _apply_next(database, origin, epoch, policies), database)


def drain(database: Database, policies: Policies) -> int:
    """Apply every origin's stored batches, side by side; returns how many. Raises what ``apply_next`` does."""
    return origins.drain(database, policies, lambda origin, epoch: apply_next(database, origin, epoch, policies))


def _apply_next(database: Database, origin: str, epoch: str, policies: Policies) -> Applied | None:
    try:
        return apply_whole(database, origin, epoch, policies)
    except (ConfigError, RejectedBatch):
        raise
    except DatabaseError as error:
        if error.temporary:
            raise
    except CdcSyncError:
        pass
    return apply_in_parts(database, origin, epoch, policies)
