"""The fifth room: stored batches become rows of the server's tables, each in one transaction with its position."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cdc_sync.apply.batch import Batch
from cdc_sync.core import wire
from cdc_sync.core.wire import Header, Part, PartRows
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import RejectedBatch
from cdc_sync.receive import locked_position

__all__ = ["Applied", "Batch", "apply_next", "finish", "writing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an application did: the batch's number, and how many changes it held."""

    number: int
    rows: int


def apply_next(database: Database, origin: str, epoch: str) -> Applied | None:
    """Apply the origin's next stored batch, whole or not at all; None where everything is applied.

    Raises Deferred where a row's parent has not arrived, DatabaseError where the target refuses a row.
    """
    with database.begin(Mode.WRITE) as session:
        here = locked_position(session, origin, epoch)
        if here.applied >= here.stored:
            return None
        place = {"origin": origin, "epoch": epoch, "number": here.applied + 1}
        header = wire.decode_header(bytes(session.run("inbox_header", **place)[0][0]))
        with writing(session):
            batch = Batch(session, header.shapes, header.sections)
            for number, part in enumerate(header.parts):
                batch.load(part.table, _unpacked(session, place, number, part))
            batch.write()
        finish(session, header)
        return Applied(number=header.number, rows=header.rows)


def _unpacked(session: Session, place: Mapping[str, object], number: int, part: Part) -> PartRows:
    rows = session.run("inbox_part", **place, part=number)
    if not rows:
        raise RejectedBatch("a part of a stored batch is missing from the inbox", hint="have the batch sent again")
    return PartRows(encoding=part.encoding, data=wire.unpack_part(part, bytes(rows[0][0])))


@contextmanager
def writing(session: Session) -> Iterator[None]:
    """Within the block, a batch may be written: what is written is not captured again."""
    session.run("prepare_apply")
    with session.database.muted(session):
        yield


def finish(session: Session, header: Header) -> None:
    """Note that a batch is applied, and let its parts go: only their digests are needed from now on."""
    place = {"origin": header.node, "epoch": header.epoch}
    session.run("inbox_done", **place, number=header.number)
    session.run("position_applied", **place, applied=header.number)
