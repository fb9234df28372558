"""What spares a replicator time where small batches follow each other: what it remembers, and how it asks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from cdc_sync.databases.base import Session


class Thrifty(ABC):
    """A database's part in it.

    ``memories`` belongs to ``memory.recalled``; ``untidy`` are change tables with space to give back, each with what
    its statements need, ``tidied`` is when that was done last.
    """

    def __init__(self) -> None:
        self.memories: dict[tuple[str, ...], object] = {}
        self.untidy: dict[str, Mapping[str, str]] = {}
        self.tidied = float("-inf")

    def grouped(self, session: "Session") -> AbstractContextManager[None]:  # noqa: ARG002
        """Statements of the block, none of which makes rows, go to the database together, where that saves waiting."""
        return nullcontext()

    @abstractmethod
    def glance(self, query: sa.Select[*tuple[Any, ...]]) -> bool:
        """Whether the query finds a row now; asked again and again, so it costs as little as can be."""

    @abstractmethod
    def mark(self, session: "Session", names: Sequence[str]) -> str:
        """What is another text after every change to how these tables are made (see ``mark.sql``)."""
