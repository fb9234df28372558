"""A stored batch written in one go."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from cdc_sync.apply import names
from cdc_sync.apply.batch import Batch
from cdc_sync.apply.judge import Bench
from cdc_sync.core import wire
from cdc_sync.core.change import Table
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.letters import State
from cdc_sync.core.wire import Header, Part, PartRows
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import CdcSyncError, RejectedBatch
from cdc_sync.receive import locked_position


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an application did: the batch's number, how many changes it held, and how many rows were put aside."""

    number: int
    rows: int
    aside: Mapping[State, int] = field(default_factory=dict)


class InTheWay(CdcSyncError):
    """Rows that the batch may speak of wait already: it is applied in parts."""


def apply_whole(database: Database, origin: str, epoch: str, policies: Policies) -> Applied | None:
    """Apply the origin's next stored batch, whole or not at all; None where everything is applied."""
    with database.begin(Mode.WRITE) as session:
        header = next_header(session, origin, epoch)
        if header is None:
            return None
        check_free(session, header.node, header.epoch, {section.table for section in header.sections})
        with writing(session, policies, [section.table for section in header.sections]):
            batch = Batch(
                session, header.shapes, header.sections, Bench(node=origin, policies=policies, place=place_of(header))
            )
            for part, rows in parts(session, header):
                batch.load(part.table, rows)
            batch.write()
        finish(session, header)
        return Applied(number=header.number, rows=header.rows)


def check_free(session: Session, origin: str, epoch: str, tables: set[str]) -> None:
    """Raise InTheWay where letters of the origin lie in one of these tables."""
    if not tables.isdisjoint(table for (table,) in session.run("letters_lie", origin=origin, epoch=epoch)):
        raise InTheWay("rows of these tables wait")


def next_header(session: Session, origin: str, epoch: str) -> Header | None:
    """The next batch to apply, its origin's position kept from others; None where everything is applied."""
    here = locked_position(session, origin, epoch)
    if here.applied >= here.stored:
        return None
    return header_of(session, origin, epoch, here.applied + 1)


def header_of(session: Session, origin: str, epoch: str, number: int) -> Header:
    """The header of a stored batch, in this database's names."""
    return names.header_of(session, origin, epoch, number)


def parts(session: Session, header: Header) -> Iterator[tuple[Part, PartRows]]:
    """The batch's parts, from the inbox."""
    place = {"origin": header.node, "epoch": header.epoch, "number": header.number}
    for i, part in enumerate(header.parts):
        rows = session.run("inbox_part", **place, part=i)
        if not rows:
            raise RejectedBatch("a part of a stored batch is missing from the inbox", hint=wire.AGAIN)
        yield part, PartRows(encoding=part.encoding, data=wire.unpack_part(part, bytes(rows[0][0])))


@contextmanager
def writing(session: Session, policies: Policies, tables: Collection[str]) -> Iterator[None]:
    """Within the block, a batch may be written: what is written is not captured again.

    ``tables`` are those that it is about. Where the file says so, triggers of the application do not fire either.
    """
    session.run("prepare_apply")
    resting = quiet(session, policies, tables)
    with session.database.resting(session, resting) if resting else nullcontext(), session.database.muted(session):
        yield


def quiet(session: Session, policies: Policies, tables: Collection[str]) -> list[Table]:
    """The tables whose triggers are to be quiet while rows of these are written: also children, where keys cascade.

    What a view itself has of triggers is how it is written: only those of its table can be quiet.
    """
    if not policies.quiet:
        return []
    names = {*tables, *policies.exact}
    described = session.database.describe(session, sorted(names))
    shown = {name: table.view.table for name, table in described.items() if table.view is not None}
    written, before = {*tables, *(shown[name] for name in tables if name in shown)}, 0
    while before < len(written):
        before = len(written)
        written |= {name for name, table in described.items() if {r.table for r in table.references} & written}
    quiet = (table for name, table in described.items() if name in written and policies.of(name).triggers == "quiet")
    stored = {table.stored.called: table.stored for table in quiet if table.view is None or table.view.base}
    return list(stored.values())


def place_of(header: Header) -> dict[str, object]:
    """How a batch is called in letters and conflicts."""
    return {"origin": header.node, "epoch": header.epoch, "number": header.number}


def finish(session: Session, header: Header) -> None:
    """Note that a batch is applied, and let its parts go: only their digests are needed from now on."""
    place = {"origin": header.node, "epoch": header.epoch}
    session.run("inbox_done", **place, number=header.number)
    session.run("position_applied", **place, applied=header.number)
