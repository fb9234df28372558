"""The first look of a verification: which rows of two sides may differ, in memory that does not grow with the table.

Both sides are read in pages, each in a short transaction of its own, so that no writer waits. Each row becomes a digest
of its natural key and one of its values; the digests are summed by bucket, in whatever order they come. Only rows of
buckets whose sums differ are read again, and kept in files, group by group. A row that nobody changes meanwhile is read
exactly once by each look, so no lasting difference is missed; rows that are changed may come out as candidates.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cdc_sync.core import digest, wire
from cdc_sync.core.digest import Canonical, Sums
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import Database, Mode, comparing, pages, sqlfiles
from cdc_sync.databases.comparing import Compared
from cdc_sync.ship import Progress

PAGE = 10_000
"""Rows at most read in one transaction."""

FIRST = 50
"""Rows of the first page; the others are as long as ``WIDTH`` allows."""

WIDTH = 8 * 1024 * 1024
"""Bytes that a page is meant to have."""

GROUP = 10_000
"""Rows of both sides that are compared in one go."""

MOST = 200
"""Groups at most: each is two files."""

SPOOL = 64 * 1024
"""Bytes of a group kept in memory before they go to a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row: digests of its natural key and of all that is compared, and how its own side finds it and calls it."""

    key: bytes
    digest: bytes
    place: Sequence[Any]
    leaves: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two databases, and what is compared there; ``visible`` is a condition on rows, where there is one."""

    database: Database
    compared: Compared
    visible: sa.ColumnElement[bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Candidates of both sides, all those of the same natural keys."""

    here: list[Row]
    there: list[Row]


class Spool:
    """Pieces of bytes in the order in which they came, in a file when they are many."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=SPOOL)  # noqa: SIM115

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, data: bytes) -> None:
        self.file.write(len(data).to_bytes(8) + data)

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(0)
        while size := self.file.read(8):
            yield self.file.read(int.from_bytes(size))


class Pages:
    """All rows of one side's table, page by page."""

    def __init__(self, side: Side, here: Side, there: Side) -> None:
        self.side, self.compared = side, side.compared
        keys, rest = side.compared.typed(side.database)
        _, source_rest = here.compared.typed(here.database)
        target_keys, target_rest = there.compared.typed(there.database)
        self.keys = list(map(digest.canonical_key, keys, target_keys))
        self.rest = list(map(digest.canonical, rest, source_rest, target_rest))
        self.count = 0

    def __iter__(self) -> Iterator[list[Row]]:
        place: bytes | None = None
        self.count, full, most = 0, True, min(FIRST, PAGE)
        while full:
            parts = self._page(place, most)
            rows = [self._row(values) for part in parts for values in pages.split(part)]
            full = len(rows) == most
            if rows:
                place = pages.join(self.side.database.encoding, [rows[-1].place]).data
                most = max(1, min(PAGE, WIDTH * len(rows) // sum(len(part.data) for part in parts)))
            self.count += len(rows)
            yield rows

    def total(self) -> int:
        """How many rows stand in the table, for a progress bar."""
        table = self.compared.table()
        with self.side.database.begin(Mode.READ) as session:
            return int(session.run("count_rows", {"table": sqlfiles.quote(table.schema, table.name)})[0][0])

    def _page(self, place: bytes | None, most: int) -> list[PartRows]:
        database, compared = self.side.database, self.compared
        with database.begin(Mode.READ) as session:
            paths, query = comparing.rows(compared, database, self.side.visible)
            after = pages.beyond(session, paths.live, compared.tables[compared.name], compared.apart, place)
            chunks = list(database.read_rows(session, query.where(after).limit(most)))
        return [PartRows(encoding=database.encoding, data=chunk.data) for chunk in chunks]

    def _row(self, values: Sequence[Any]) -> Row:
        apart, keys = len(self.compared.apart), len(self.keys)
        leaves = values[apart : apart + keys]
        key = key_digest(self.keys, leaves)
        rest = [convert(value) for convert, value in zip(self.rest, values[apart + keys :], strict=True)]
        return Row(key=key, digest=digest.digest([key, *rest]), place=values[:apart], leaves=leaves)


def key_digest(convert: Sequence[Canonical], leaves: Sequence[Any]) -> bytes:
    return digest.digest([as_key(leaf) for as_key, leaf in zip(convert, leaves, strict=True)])


def find(here: Pages, there: Pages, progress: Progress) -> Iterator[Group]:
    """The rows of both sides that may differ."""
    one, other = _summed(here, progress), _summed(there, progress)
    groups = digest.groups(one, other, max(GROUP, (here.count + there.count) // MOST))
    if groups:
        yield from _candidates(here, there, groups)


def _summed(side: Pages, progress: Progress) -> Sums:
    sums = Sums()
    for page in side:
        for row in page:
            sums.add(row.key, row.digest)
        progress.applied(len(page))
    return sums


def _candidates(here: Pages, there: Pages, groups: Mapping[int, int]) -> Iterator[Group]:
    with ExitStack() as stack:
        spools = [_spooled(stack, side, groups) for side in (here, there)]
        for number in range(max(groups.values()) + 1):
            found = _differing(*(list(_unspooled(spool[number])) if number in spool else [] for spool in spools))
            if found.here or found.there:
                yield found


def _spooled(stack: ExitStack, side: Pages, groups: Mapping[int, int]) -> dict[int, Spool]:
    """The rows of one side that stand in buckets that differ, a file for each group."""
    spools: dict[int, Spool] = {}
    for page in side:
        gathered: defaultdict[int, list[Row]] = defaultdict(list)
        for row in page:
            if (group := groups.get(digest.bucket_of(row.key))) is not None:
                gathered[group].append(row)
        for group, rows in gathered.items():
            if group not in spools:
                spools[group] = stack.enter_context(Spool())
            spools[group].add(wire.pack_rows([[row.key, row.digest, row.place, row.leaves] for row in rows]))
    return spools


def _unspooled(spool: Spool) -> Iterator[Row]:
    for data in spool:
        for key, value, place, leaves in wire.unpack_rows(data):
            yield Row(key=key, digest=value, place=place, leaves=leaves)


def _differing(here: list[Row], there: list[Row]) -> Group:
    """The rows under keys that do not stand for the same on both sides."""
    sides: list[defaultdict[bytes, list[bytes]]] = [defaultdict(list), defaultdict(list)]
    for digests, rows in zip(sides, (here, there), strict=True):
        for row in rows:
            digests[row.key].append(row.digest)

    def differs(key: bytes) -> bool:
        return sorted(sides[0].get(key, [])) != sorted(sides[1].get(key, []))

    return Group(here=[row for row in here if differs(row.key)], there=[row for row in there if differs(row.key)])
