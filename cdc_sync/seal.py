"""The second room: sealing moves changes out of the change tables into a numbered, chained, signed batch."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import follow, own
from cdc_sync.core import chain, wire
from cdc_sync.core.change import Shape
from cdc_sync.core.keys import parents_first
from cdc_sync.core.plan import OPERATIONS, reachable
from cdc_sync.core.wire import Header, Part, PartRows, Sealed, Section
from cdc_sync.databases import Database, Mode, Session, known, notes, strays
from cdc_sync.databases.before import prepare
from cdc_sync.databases.reading import Reader
from cdc_sync.databases.source import Source
from cdc_sync.errors import ConfigError

MANY = 1_000
"""Changes of a batch after which the change tables are tidied at once."""

TIDY = 5.0
"""Seconds after which they are tidied in any case."""

SPOOL = 16 * 1024 * 1024
"""Bytes of packed parts kept in memory before they go to a temporary file."""


class Listener(Protocol):
    """Who hears what a seal reads while it reads, to be ahead. Nothing of it counts before the batch is sealed."""

    def rows(self, rows: PartRows, part: Part, data: bytes) -> None:
        """Some rows of the batch, in the order of its parts: as they were read, and packed."""

    def complete(self) -> None:
        """These were all rows."""


Listen = Callable[[Sequence[Shape], Sequence[Section]], Sequence[Listener]]
"""Asked who wants to listen, once a seal knows what it will read."""


def _nobody(_shapes: Sequence[Shape], _sections: Sequence[Section]) -> Sequence[Listener]:
    return ()


@dataclass(slots=True)
class Content:
    """What one snapshot yields: sections and parts, the parts' bytes in a spool.

    ``read`` names the tables of which anything was read, ``upto`` how far; some of it may say nothing in the end.
    """

    spool: IO[bytes]
    ours: own.Sealing
    shapes: tuple[Shape, ...]
    sections: list[Section]
    read: Sequence[str]
    upto: Mapping[str, int]
    parts: list[Part] = field(default_factory=list)

    def data(self) -> Iterator[bytes]:
        self.spool.seek(0)
        for part in self.parts:
            yield self.spool.read(part.size)


def seal(
    database: Database,
    key: Ed25519PrivateKey,
    sealed_at: str,
    listen: Listen = _nobody,
    look: Callable[[Session], Source] = follow.source,
    dated: own.Dated = own.nothing_dated,
) -> tuple[Header, Sealed] | None:
    """Seal everything that waits into the outbox's next batch; None where nothing waits.

    ``sealed_at`` is the time in ISO 8601, for people to read; ``look`` says how the tables are, ``dated`` in
    which of them the newest change wins. Raises DatabaseError where the database refuses.
    """
    with (
        tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool,
        tempfile.SpooledTemporaryFile(max_size=SPOOL) as graves,
    ):
        ours = own.Sealing(graves, dated)
        with database.snapshot() as snapshot:
            source = look(snapshot)
            content = _read(snapshot, source, spool, ours, listen)
            sealed = _seal(snapshot, content, source, key, sealed_at) if content.parts else None
        if sealed is None and content.read:
            ours.bury(database)
            with database.begin(Mode.WRITE) as session:
                _clear(session, content, source)
    for tracked in (source.tracked[name] for name in content.read):
        database.untidy[tracked.change] = known.holes(database, tracked)
    _tidy(database, sealed[0].rows if sealed else 0)
    return sealed


def as_captured(database: Database, key: Ed25519PrivateKey, sealed_at: str, dated: own.Dated) -> None:
    """Seal what waits, for views as they were when it was captured, if that can be."""
    with suppress(follow.Drifted, ConfigError):
        seal(database, key, sealed_at, look=follow.remembered, dated=dated)


def _tidy(database: Database, rows: int) -> None:
    """Tidy where a seal has left something; while small batches follow each other, not after each one of them."""
    if database.untidy and (not 0 < rows < MANY or time.monotonic() > database.tidied + TIDY):
        database.tidy_changes(database.untidy)
        database.untidy, database.tidied = {}, time.monotonic()


def _seal(
    snapshot: Session, content: Content, source: Source, key: Ed25519PrivateKey, sealed_at: str
) -> tuple[Header, Sealed]:
    database = snapshot.database
    last, digest = (snapshot.run("outbox_last") or [(0, b"")])[0]
    header = _header(snapshot, content, last + 1, bytes(digest), sealed_at)
    sealed = chain.seal(header, key)
    database.store_parts(snapshot, header.number, content.data())
    content.ours.bury(database)
    with database.sealing(snapshot) as session:
        content.ours.note(session, source, content.read)
        with database.grouped(session):
            _store(session, header, sealed)
            _clear(session, content, source)
    return header, sealed


def _read(session: Session, source: Source, spool: IO[bytes], ours: own.Sealing, listen: Listen) -> Content:
    reader, noted = prepare(session, source)
    names = [name for name in parents_first(source.shapes) if name in source.sent]
    for i, name in enumerate(names):
        _keep_images(session, reader, name, noted[name], f"cdc_sync_images_{i}")
    counts = {name: _counts(session, reader, name, noted[name]) for name in names}
    content = Content(
        spool,
        ours,
        shapes=tuple(source.shapes[name] for name in reachable(source.sent, source.shapes)),
        sections=[Section(table=name, counts=counts[name]) for name in names if counts[name]],
        read=[name for name in source.captured if noted[name]],
        upto=reader.upto,
    )
    if content.sections:
        _read_sections(session, reader, content, listen(content.shapes, content.sections))
    ours.read(session, reader, {name: noted[name] for name in names})
    return content


def _counts(session: Session, reader: Reader, name: str, noted: Mapping[str, int]) -> Mapping[str, int]:
    """What the seal takes of a table: what is noted, unless something keeps a part of it here or reads it anew."""
    settings = reader.source.tracked[name].settings
    plain = not settings.where and not settings.view and settings.operations == OPERATIONS
    as_noted = plain and set(noted) <= set("IUDK")
    if name not in reader.images and (as_noted or not noted):
        return noted
    return dict(session.query(reader.counts(name)))


def _keep_images(session: Session, reader: Reader, name: str, noted: Mapping[str, int], table: str) -> None:
    found = (strays.changes(session, reader, name), notes.changes(reader, name))
    others = [changes for changes in found if changes is not None]
    if not others and not _is_unsteady(session, reader.source, name, noted):
        return
    if session.query(reader.moves(name)):
        reader.moving.add(name)
    reader.keep_images(session, name, table, others)


def _is_unsteady(session: Session, source: Source, name: str, noted: Mapping[str, int]) -> bool:
    """Whether the changes may say something else than the table, so that its rows are read as they stand.

    One operation alone cannot be out of order with another; a bulk load is not made to pay for it.
    """
    if not noted:
        return False
    return name in source.reread or len(noted) > 1 or _reacts(session, source, name)


def _reacts(session: Session, source: Source, name: str) -> bool:
    """Whether anything of the application's writes when the table is written."""
    if name not in source.reacting:
        table = source.tracked[name].table.stored
        source.reacting[name] = bool(session.run("reacting", schema=table.schema, name=table.name))
    return source.reacting[name]


def _read_sections(session: Session, reader: Reader, content: Content, listeners: Sequence[Listener]) -> None:
    encoding, read = session.database.encoding, 0
    for section in content.sections:
        query = reader.changes(section.table, keyed=section.keyed)
        for chunk in session.database.read_rows(session, query):
            read += len(chunk.data)
            part, data = wire.pack_part(section.table, chunk.rows, encoding, chunk.data, tightly=read <= wire.TURNED)
            for listener in listeners:
                listener.rows(PartRows(encoding=encoding, data=chunk.data), part, data)
            content.parts.append(part)
            content.spool.write(data)
    for listener in listeners:
        listener.complete()


def _header(session: Session, content: Content, number: int, previous: bytes, sealed_at: str) -> Header:
    name, epoch, _ = session.run("node")[0]
    return Header(
        version=wire.VERSION,
        node=name,
        epoch=epoch,
        number=number,
        previous=previous,
        sealed_at=sealed_at,
        fingerprint=wire.fingerprint(content.shapes),
        shapes=content.shapes,
        sections=tuple(content.sections),
        parts=tuple(content.parts),
    )


def _store(session: Session, header: Header, sealed: Sealed) -> None:
    session.run(
        "outbox_add",
        number=header.number,
        header=sealed.header,
        signature=sealed.signature,
        digest=sealed.digest,
        rows=header.rows,
    )


def _clear(session: Session, content: Content, source: Source) -> None:
    """What was read is sealed, or has turned out to say nothing."""
    for name in content.read:
        session.database.clear_changes(session, source.tracked[name].change, content.upto[name])
        if name in source.reread:
            session.run("captured_mark", table_name=name, paused=name in source.paused, reread=False)
