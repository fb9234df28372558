"""Every error that cdc-sync raises on purpose, and the exit code that each one stands for.

    CdcSyncError            1  failed
    ├── ConfigError         2  the file, the command line or a database's shape is wrong
    │   ├── SchemaMismatch  2  source and target do not fit together
    │   └── Unreachable     2  no connection to a database
    ├── DatabaseError       1  a database refused a statement
    │   └── RefusedRow      1  a target cannot hold a value of a row
    ├── RejectedBatch       1  a batch is not what it says, or forks the chain
    │   ├── Forbidden       1  a node is not known here, was revoked, or may not do what it asks
    │   └── TooLarge        1  more than is taken here
    ├── Busy                1  another cdc-sync is at work on this node
    ├── RejectedReceipt     1  a receipt is not by who it says, or is about another chain
    ├── RejectedBundle      1  a file is no bundle, not for this node, or not by somebody who is known here
    └── Deferred            3  everything possible is done, but something waits

Messages name tables, columns and what to type next. They never hold a row's values, a password or a key.
"""

from typing import ClassVar


class CdcSyncError(Exception):
    """The root: a message, and a hint that says what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(CdcSyncError):
    """The configuration, the command line or the shape of a database does not allow what was asked."""

    exit_code = 2


class SchemaMismatch(ConfigError):
    """Source and target do not fit together: a table, column, key or default is missing."""


class Unreachable(ConfigError):
    """A database could not be connected to."""


class DatabaseError(CdcSyncError):
    """A database refused a statement.

    ``code`` is its SQLSTATE (PostgreSQL) or extended result code name (SQLite); ``temporary`` says whether
    the same statement may succeed later.
    """

    def __init__(self, message: str, *, code: str = "", temporary: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.temporary = temporary


class RefusedRow(DatabaseError):
    """A target that cannot hold a value of a row. ``row`` counts the rows given to it, from 0.

    ``others`` are more such rows, as far as they are known; there may be others still.
    """

    def __init__(self, message: str, *, row: int, code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.row = row
        self.others: tuple[RefusedRow, ...] = ()


class Busy(CdcSyncError):
    """Another cdc-sync is at work on this node."""

    def __init__(self) -> None:
        super().__init__("another cdc-sync is at work on this node", hint="wait for it to end, or stop it")


class RejectedBatch(CdcSyncError):
    """A batch that must not be stored: damaged, signed by another key, or a fork of a known chain."""


class Forbidden(RejectedBatch):
    """A batch or a request of a node that is not known here, was revoked, or may not do what it asks."""


class TooLarge(RejectedBatch):
    """A batch that is larger than is taken here."""


class RejectedReceipt(CdcSyncError):
    """A receipt that must not be believed: of nobody known, changed on its way, or about another chain."""


class RejectedBundle(CdcSyncError):
    """A bundle that must not be believed: damaged, not for this node, or of nobody known. Nothing of it is stored."""


class Deferred(CdcSyncError):
    """Nothing failed, but something waits for what will come."""

    exit_code = 3


def counted(number: int, noun: str) -> str:
    """``1 change``, ``2 changes``, ``2 batches``: for messages."""
    many = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
    return f"{number} {noun if number == 1 else many}"


def batches(first: int, last: int) -> str:
    """``batch 3``, ``batches 3 to 5``: for messages."""
    return f"batch {first}" if first == last else f"batches {first} to {last}"
