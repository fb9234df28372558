"""Sending rows that stand in the tables already, through the same pipe as every change, while writers go on.

A chunk notes which rows stand (``databases.notes``); the seal reads each as it stands then. So no row that is sent can
be out of date, and nothing has to be kept from writers: what they do is captured as always, and wins. A row is noted
once, in the order of the columns that tell rows apart; one that moves in that order meanwhile is captured by that.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from cdc_sync import follow, registry, ship
from cdc_sync.config import Config
from cdc_sync.core.keys import parents_first
from cdc_sync.databases import Database, Mode, Session, notes, pages, sqlfiles
from cdc_sync.databases.base import constant
from cdc_sync.databases.reading import STANDS
from cdc_sync.databases.source import Source
from cdc_sync.errors import Busy, ConfigError
from cdc_sync.follow import Drifted
from cdc_sync.ship import Progress

CHUNK = 5_000
"""Rows noted in one transaction: some 20 ms of write lock on SQLite."""

ROWS = "cdc_sync_rows"
"""The temporary table of a chunk's rows."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynced:
    """A table whose rows were noted: how many, and how many of them by an earlier run that did not come to its end."""

    table: str
    rows: int
    before: int = 0


def resync(
    database: Database,
    config: Config,
    tables: Sequence[str] = (),
    *,
    where: str = "",
    anew: bool = False,
    op: str = "",
    progress: Progress | None = None,
) -> list[Resynced]:
    """Have the rows of these tables (all captured ones, where none is named) sent as they stand, parents first.

    ``where`` is a condition on them, in portable SQL. A run that was stopped goes on where it stopped when the same is
    asked for again, unless ``anew``. The rows travel with the next ``replicate``; a progress is told of those noted.
    ``op`` is said by a rejoin: as which notes they travel (see ``databases.reading``).
    Raises ConfigError for a table that is not captured or is paused, and for a condition that cannot be used.
    """
    _followed(database, config, lambda: _check(database, config, tables, where))
    order = database.patiently(lambda session: _begin(session, tables, where, op, anew=anew))
    if progress is not None:
        _announce(database, order, where, progress)
    done = [_table(database, config, name, before, where, op, progress or Progress()) for name, before in order]
    with database.begin(Mode.WRITE) as session:
        session.run("resync_end")
    return done


def _followed(database: Database, config: Config, work: Callable[[], Result]) -> Result:
    """Do something; where captured tables have changed since they were installed, follow them first."""
    try:
        return work()
    except Drifted:
        follow.follow(database, config, lambda: _seal(database, config))
        return work()


def _seal(database: Database, config: Config) -> None:
    """Seal what waits; whoever replicates meanwhile does it himself."""
    with suppress(Busy):
        ship.seal_waiting(database, config)


def _check(database: Database, config: Config, tables: Sequence[str], where: str) -> None:
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session):
            raise ConfigError(f"no triggers are installed in {database}", hint="run cdc-sync install-triggers")
        registry.check_name(session, config.node.name)
        follow.check_configured(session, config)
        source = follow.source(session)
    for name in chosen(source, tables):
        if name in source.paused:
            raise ConfigError(f"table {name!r} is paused", hint=f"run cdc-sync resume {name} first")
        if where:
            _check_where(source, name, where)
    if where and not tables:
        raise ConfigError("a condition on rows needs a table that it is about", hint="name it: cdc-sync resync TABLE")


def chosen(source: Source, tables: Sequence[str]) -> list[str]:
    """The captured tables that are named, or all, parents first. Raises ConfigError for one that is not captured."""
    unknown = next((name for name in tables if name not in source.sent), None)
    if unknown is not None:
        raise ConfigError(f"table {unknown!r} is not captured", hint="captured are " + ", ".join(sorted(source.sent)))
    return [n for n in parents_first(source.shapes) if n in source.sent and (not tables or n in tables)]


def _check_where(source: Source, name: str, where: str) -> None:
    from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few resyncs have a filter

    columns = source.tracked[name].table.names
    for column in filters.columns(where, name):
        if column not in columns:
            raise ConfigError(f"table {name!r} has no column {column!r}", hint="it has " + ", ".join(columns))


def begin(session: Session, op: str) -> None:
    """Have every row of every captured table sent, as these notes: ``resync`` goes on from there."""
    session.run("resync_prepare")
    _begin(session, (), "", op, anew=True)


def under_way(session: Session) -> str:
    """As which notes a rejoin's rows are to be sent, where it was stopped; nothing where there is none."""
    session.run("resync_prepare")
    requests = (json.loads(request) for _, request, *_ in session.run("resync_tables"))
    return next((str(request[2]) for request in requests if len(request) > 2), "")


def _begin(session: Session, tables: Sequence[str], where: str, op: str, *, anew: bool) -> list[tuple[str, int]]:
    """The tables to do, in order, each with the number of its rows that are noted already."""
    session.run("resync_prepare")
    source = follow.source(session)
    wanted = {name: _request(source, name, where, op) for name in chosen(source, tables)}
    rows = session.run("resync_tables")
    if anew or {name: request for name, request, *_ in rows} != wanted:
        session.run("resync_end")
        for name, request in wanted.items():
            session.run("resync_begin", table_name=name, request=request)
        rows = []
    before = {name: noted for name, _, noted, _ in rows}
    return [(name, before.get(name, 0)) for name in wanted]


def _request(source: Source, name: str, where: str, op: str) -> str:
    """What is asked for of a table; a place in it is of use as long as this is the same."""
    return json.dumps([where, source.tracked[name].stored.shape.identity, *([op] if op else [])])


def _announce(database: Database, order: Sequence[tuple[str, int]], where: str, progress: Progress) -> None:
    with database.begin(Mode.READ) as session:
        source = follow.source(session)
        for name, before in order:
            live = _live(source, name)
            progress.waiting(session.query(sa.select(sa.func.count()).where(_wanted(source, name, live, where)))[0][0])
            progress.applied(before)


def _live(source: Source, name: str) -> sa.FromClause:
    """The rows among which a table's stand, or a view's."""
    return source.database.table(source.tracked[name].table.stored).alias("cdc_sync_live")


def _wanted(source: Source, name: str, live: sa.FromClause, where: str) -> sa.ColumnElement[bool]:
    """The condition on rows that travel and are asked for."""

    def column(of: str) -> str:
        return f"cdc_sync_live.{sqlfiles.quote(of)}"

    passes, identity = source.sends(name, column), source.tracked[name].stored.shape.identity
    conditions: list[sa.ColumnElement[bool]] = [live.c[c].is_not(None) for c in identity]
    conditions += [] if passes is None else [passes]
    if where:
        from cdc_sync.core import filters

        text = filters.render(where, name, source.database.kind, lambda of: source.spelt(name, of, column))
        conditions.append(sa.literal_column(f"({text})"))
    return sa.and_(*conditions)


def _table(
    database: Database, config: Config, name: str, before: int, where: str, op: str, progress: Progress
) -> Resynced:
    rows, goes_on = before, True
    while goes_on:
        started = time.monotonic()
        noted = _followed(
            database, config, lambda: database.patiently(lambda session: _chunk(session, name, where, op))
        )
        rows, goes_on = rows + noted, noted == CHUNK
        progress.applied(noted)
        time.sleep(time.monotonic() - started if goes_on else 0)  # others always get their turn
    return Resynced(table=name, rows=rows, before=before)


def _chunk(session: Session, name: str, where: str, op: str) -> int:
    """Note the next rows, and how far that is, in one transaction. Fewer than ``CHUNK`` are the last."""
    source = follow.source(session)
    tracked = source.tracked[name]
    names, stored = tracked.stored.shape.identity, tracked.stored.table
    session.run("note_hold", {"table": tracked.quoted})
    state = session.run("resync_place", table_name=name)
    if not state:
        return 0
    place = None if state[0][0] is None else bytes(state[0][0])
    live = _live(source, name)
    here = [live.c[column] for column in names]
    after = pages.beyond(session, live, stored, names, place)
    query = sa.select(*(live.c[column].label(f"i{i}") for i, column in enumerate(tracked.noted)))
    rows = query.where(after, _wanted(source, name, live, where)).order_by(*here).limit(CHUNK).subquery("cdc_sync_next")
    order = [rows.c[f"i{i}"] for i in range(len(names))]
    session.database.keep(session, ROWS, sa.select(*rows.c, sa.func.row_number().over(order_by=order).label("n")))
    count = notes.write(session, tracked, ROWS, op or STANDS)
    kept = sa.table(ROWS, *(sa.column(f"i{i}") for i in range(len(names))), sa.column("n"))
    last = sa.select(*(kept.c[f"i{i}"] for i in range(len(names)))).order_by(kept.c.n.desc()).limit(constant(1))
    place = pages.encoded(session, last) or place
    session.run("resync_forward", table_name=name, rows=count, place=place, done=count < CHUNK)
    return count
