"""How large batches may be that strangers bring: looked at before anything of them is kept."""

from dataclasses import dataclass

from cdc_sync.core import device, wire
from cdc_sync.core.wire import AGAIN, Header
from cdc_sync.errors import RejectedBatch, TooLarge

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of an encoded header, of one part and of all parts together as they travel, of one part unpacked; and how
    many parts there may be. A part holds some 2 MiB of rows before it is packed, unless one row alone is larger.
    """

    header: int = 16 * MIB
    parts: int = 100_000
    part: int = 64 * MIB
    batch: int = 1024 * MIB
    unpacked: int = 256 * MIB


CARRIED = Limits()
"""For batches that somebody brings."""

DIRECT = Limits(part=wire.LARGEST_PART, batch=2**62, unpacked=wire.LARGEST_PART)
"""For batches over a database connection: who has that may write without us."""


def check_encoded(limits: Limits, size: int) -> None:
    """Raises TooLarge for a header of so many bytes, before it is read."""
    if size > limits.header:
        raise _too_large("header", limits.header)


def check(limits: Limits, header: Header) -> None:
    """Raises TooLarge for a batch beyond the limits, and RejectedBatch for one that contradicts itself."""
    if len(header.parts) > limits.parts:
        raise TooLarge(f"a batch has {len(header.parts)} parts; {limits.parts} are taken here", hint=HINT)
    if not device.is_epoch(header.epoch) or not 0 < header.number < _MANY or header.rows >= _MANY:
        raise RejectedBatch("the batch's header has a place or a size that no batch has", hint=AGAIN)
    if any(part.size < 0 or part.rows < 0 for part in header.parts):
        raise RejectedBatch("the batch's header counts below nothing", hint=AGAIN)
    if not {part.table for part in header.parts} <= {section.table for section in header.sections}:
        raise RejectedBatch("a batch has rows of a table that it does not announce", hint="upgrade cdc-sync there")
    if any(part.size > limits.part for part in header.parts):
        raise _too_large("part", limits.part)
    if sum(part.size for part in header.parts) > limits.batch:
        raise _too_large("batch", limits.batch)


_MANY = 2**62
HINT = "seal smaller batches: replicate more often there; or raise largest_batch under [serve] here"


def _too_large(what: str, limit: int) -> TooLarge:
    return TooLarge(f"a {what} is larger than the {limit} bytes that are taken here", hint=HINT)
