"""Looking into what lies here and is on its way, this node's own batches and those that it carries: nothing changes.

Values of rows are shown because a person asks for them; they stand in no message and in no log.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cdc_sync.core import readable, renames, wire
from cdc_sync.core.change import WORDS, Shape
from cdc_sync.core.readable import Change, Reader, Reconciled, Standing
from cdc_sync.core.wire import Header, PartRows
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import ConfigError
from cdc_sync.registry import is_installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What lies here of one chain: its first and last batch, and how many changes of each kind, by table."""

    origin: str
    epoch: str
    own: bool
    first: int
    last: int
    tables: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a batch: what happened to it, and its columns."""

    origin: str
    number: int
    operation: str
    columns: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The first rows that were asked for, and how many there are besides."""

    rows: Sequence[Row]
    more: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch whose parts lie here; its header is in this database's names."""

    header: Header
    own: bool

    @property
    def place(self) -> dict[str, object]:
        chain = {} if self.own else {"origin": self.header.node, "epoch": self.header.epoch}
        return {**chain, "number": self.header.number}


def summary(database: Database, origin: str = "") -> list[Chain]:
    """What lies here, chain by chain; of one origin, or of all."""
    found: dict[tuple[str, str], list[_Batch]] = {}
    with _opened(database) as session:
        for batch in _batches(session, origin):
            found.setdefault((batch.header.node, batch.header.epoch), []).append(batch)
    return [_chain(batches) for batches in found.values()]


def _chain(batches: Sequence[_Batch]) -> Chain:
    tables: dict[str, Counter[str]] = {}
    for batch in batches:
        for section in batch.header.sections:
            for op, count in section.counts.items():
                tables.setdefault(section.table, Counter())[WORDS.get(op, op)] += count
    first, last = batches[0].header, batches[-1].header
    return Chain(
        origin=first.node,
        epoch=first.epoch,
        own=batches[0].own,
        first=first.number,
        last=last.number,
        tables={table: dict(counts) for table, counts in tables.items()},
    )


def rows(database: Database, table: str, *, origin: str = "", where: Iterable[str] = (), limit: int = 0) -> Rows:
    """A table's changes, batch by batch, at most ``limit`` (0: all).

    Raises ConfigError for a table of which nothing lies here, or a column that does not travel.
    """
    asked, kept, more = readable.conditions(where), list[Row](), 0
    with _opened(database) as session:
        found = _Found(session, table, origin)
        wanted = {found.column(column): value for column, value in asked.items()}
        for batch, change in found.changes():
            if not readable.fits(change, wanted):
                continue
            if limit and len(kept) >= limit:
                more += 1
                continue
            header = batch.header
            kept.append(Row(origin=header.node, number=header.number, operation=change.word, columns=change.columns))
    return Rows(rows=kept, more=more)


def reconcile(database: Database, place: str, scanned: Iterable[str], *, origin: str = "") -> Reconciled:
    """Hold identifiers against a column (``TABLE.COLUMN``) of the rows that lie here. Raises what ``rows`` does."""
    table, dot, name = place.rpartition(".")
    if not dot or not table or not name:
        raise ConfigError("no column is named to compare with", hint="write TABLE.COLUMN --reconcile FILE")
    standing = Standing()
    with _opened(database) as session:
        found = _Found(session, table, origin)
        column = found.column(name)
        for batch, change in found.changes():
            standing.follow(batch.header.node, change)
    return readable.reconcile(standing.values(column), scanned)


@dataclass(slots=True)
class _Found:
    """The batches that speak of one table."""

    session: Session
    table: str
    origin: str
    batches: list[_Batch] = field(init=False)

    def __post_init__(self) -> None:
        every = list(_batches(self.session, self.origin))
        self.batches = [batch for batch in every if any(s.table == self.table for s in batch.header.sections)]
        if every and not self.batches:
            known = sorted({section.table for batch in every for section in batch.header.sections})
            raise ConfigError(
                f"no batch that lies here speaks of table {self.table!r}", hint="they speak of " + ", ".join(known)
            )

    def column(self, name: str) -> str:
        """The column that is meant, as the newest batch has it."""
        if not self.batches:
            return name
        return readable.named(_shapes(self.batches[-1].header), self.table, name)

    def changes(self) -> Iterator[tuple[_Batch, Change]]:
        for batch in self.batches:
            section = next(s for s in batch.header.sections if s.table == self.table)
            reader = Reader(_shapes(batch.header), self.table, keyed=section.keyed)
            for i, part in enumerate(batch.header.parts):
                if part.table == self.table:
                    data = self.session.run("outbox_part" if batch.own else "inbox_part", **batch.place, part=i)
                    rows = PartRows(encoding=part.encoding, data=wire.unpack_part(part, bytes(data[0][0])))
                    yield from ((batch, change) for change in reader.changes(rows))


def _shapes(header: Header) -> dict[str, Shape]:
    return {shape.name: shape for shape in header.shapes}


def _batches(session: Session, origin: str) -> Iterator[_Batch]:
    """The batches that lie here, each chain in order, an origin's chains by the time of their first batch."""
    found = [_Batch(wire.decode_header(bytes(header)), own=True) for _, header in session.run("outbox_held")]
    for _, _, _, header, names in session.run("inbox_held"):
        found.append(_Batch(renames.decode(names).header(wire.decode_header(bytes(header))), own=False))
    began: dict[str, str] = {}
    for batch in found:
        began.setdefault(batch.header.epoch, batch.header.sealed_at)
    found.sort(key=lambda batch: (not batch.own, batch.header.node, began[batch.header.epoch], batch.header.epoch))
    return (batch for batch in found if origin in ("", batch.header.node))


@contextmanager
def _opened(database: Database) -> Iterator[Session]:
    """A transaction that only reads, and sees one moment. Raises ConfigError where nothing of ours is here."""
    with database.begin(Mode.READ) as session:
        if not is_installed(session):
            raise ConfigError(f"nothing of cdc-sync is in {database}", hint="nothing was captured or received here yet")
        yield session
