"""What a node's own applications wrote and deleted: it counts beside what arrives from others.

Rows that they wrote carry the node's own version, where others write the table too. Where the newest change wins, it
is noted before anything has arrived, because what comes later may be older; and so is what they deleted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO

from cdc_sync import follow, registry
from cdc_sync.core import digest, wire
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.views.landing import Landed
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import Database, Mode, Session, Tracked, pages, tombstones, versions
from cdc_sync.databases.before import prepare
from cdc_sync.databases.reading import Reader
from cdc_sync.databases.source import Source

Dated = Callable[[str], bool]
"""Whether the newest change of a table's rows stands; asked with its name as the node's own file writes it."""


def nothing_dated(_table: str) -> bool:
    return False


# --- before somebody else's batch is applied


def note_unsealed(session: Session, version_tables: Mapping[str, str], landed: Landed, policies: Policies) -> None:
    """Note what is captured here and not sealed yet, before somebody else's batch is applied."""
    rows = session.run("node")
    if not rows:
        return
    entries = registry.registered(session)
    since: dict[str, int] = {}
    for unit, version_table in version_tables.items():
        name, table = landed.captured(unit), landed.described[unit]
        entry = entries.get(name)
        if entry is None or not entry.change or entry.settings is None:
            continue
        tracked = Tracked(table=table, shape=entry.shape, settings=entry.settings, watched=(), change=entry.change)
        if entry.shape.identity == table.told_apart_by(entry.shape.key):
            noted = versions.note_own(session, version_table, tracked, rows[0][0])
            if noted is not None and policies.of(unit).conflict == "newest_wins":
                since[name] = noted
    if since:
        _bury_unsealed(session, rows[0][0], since)


def _bury_unsealed(session: Session, node: str, since: Mapping[str, int]) -> None:
    """Remember rows that went, of tables each after some change. One that was altered has to be followed first."""
    try:
        source = follow.source(session)
    except follow.Drifted:
        return
    reader, noted = prepare(session, source)
    for name, after in since.items():
        if not _WENT.isdisjoint(noted[name]):
            called = source.tracked[name].table.called
            tombstones.bury_keys(session, called, node, _gone(session, reader, name, after))


# --- when a batch is sealed


class Sealing:
    """What a seal finds of them: rows that went are kept in a file until its snapshot has ended."""

    def __init__(self, spool: IO[bytes], dated: Dated) -> None:
        self._spool = spool
        self._dated = dated
        self._sizes: list[tuple[str, int]] = []

    def read(self, session: Session, reader: Reader, noted: Mapping[str, Iterable[str]]) -> None:
        """Find the rows that went; ``noted`` are the operations of the changes that wait, by table."""
        for name, operations in noted.items():
            if self._dated(name) and not _WENT.isdisjoint(operations):
                called = reader.source.tracked[name].table.stored.called
                for some in tombstones.batched(_gone(session, reader, name), tombstones.MANY):
                    self._sizes.append((called, self._spool.write(wire.pack_rows(some))))

    def bury(self, database: Database) -> None:
        """Remember them. They are gone, whatever becomes of the seal; some at a time, so that no writer waits."""
        self._spool.seek(0)
        for called, size in self._sizes:
            graves = ((at, key) for at, key in wire.unpack_rows(self._spool.read(size)))
            with database.begin(Mode.WRITE) as session:
                tombstones.bury_keys(session, called, session.run("node")[0][0], graves)

    def note(self, session: Session, source: Source, sealed: Iterable[str]) -> None:
        """Give rows that are being sealed the node's version: where others write them too, or the newest wins.

        ``sealed`` are the tables whose changes are, views left out: a row has one version, whatever shows it.
        """
        known = {table: (name, declared) for table, name, declared in session.run("versioned")}
        node = session.run("node")[0][0]
        for tracked in (source.tracked[name] for name in sealed):
            table, locator = tracked.table, tracked.table.told_apart_by(tracked.shape.key)
            if tracked.shape.identity != locator:
                continue
            if any(self._dated(name) for name, other in source.tracked.items() if other.change == tracked.change):
                versions.prepared(session, known, table, locator)
            if table.called in known:
                versions.note_own(session, known[table.called][0], tracked, node)


_WENT = {"D", "K", "R"}
"""Operations with which a row may leave its key."""


def _gone(session: Session, reader: Reader, name: str, after: int = 0) -> Iterator[tuple[str, str]]:
    """When rows of a table went, and the keys that they had, as far as parents are known by which they were called."""
    encoding = session.database.encoding
    for chunk in session.database.read_rows(session, reader.gone(name, after)):
        for row in pages.split(PartRows(encoding=encoding, data=chunk.data)):
            at, *leaves = (digest.text(value, encoding) for value in row)
            if None not in leaves:
                yield at or "", tombstones.key_of(leaves)
