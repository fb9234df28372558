"""Keeping up with the tables: capture follows what becomes of them, and can be paused and resumed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from cdc_sync.capture import Installed, install, is_current
from cdc_sync.config import Config
from cdc_sync.core import views
from cdc_sync.core.change import Column, Kind, Table
from cdc_sync.core.wire import decode_shown
from cdc_sync.databases import Database, Mode, Session, known
from cdc_sync.databases.memory import recalled
from cdc_sync.databases.source import Source, rows_of
from cdc_sync.errors import CdcSyncError, ConfigError
from cdc_sync.registry import Registered, check_name, gaps, is_installed, registered
from cdc_sync.wanted import Capture, Wanted, wanted


class Drifted(CdcSyncError):
    """A captured table is not as it was when its triggers were installed; ``tables`` names all that are not."""

    def __init__(self, tables: list[str]) -> None:
        named = ", ".join(map(repr, tables))
        super().__init__(f"captured tables have changed: {named}", hint="run cdc-sync install-triggers")
        self.tables = tables


def source(session: Session) -> Source:
    """The node's tables as they were installed: what the database remembers of them, not the file, rules the batches.

    Raises Drifted where a table, its triggers or its partitions have changed since, or a gap in its capture is open.
    """
    rows, open_gaps = session.run("captured"), session.run("gaps")
    names = sorted(row[0] for row in rows)
    return recalled(session, "source", names, lambda: _source(session), tuple(rows), tuple(open_gaps))


def remembered(session: Session) -> Source:
    """The same, with views as they were installed, whatever they are now: what waits was captured when they were so.

    Raises Drifted also where a column that such a view needs is gone.
    """
    views = {name: entry for name, entry in registered(session).items() if entry.base}
    return _source(session, {name: _as_installed(session, entry) for name, entry in views.items()})


def _as_installed(session: Session, entry: Registered) -> Table:
    view = decode_shown(entry.declared)[1]
    base = session.database.describe(session, [view.table]).get(view.table)
    needed = {column for _, text in view.expressions for column in views.reads(text, session.database.kind)}
    if base is None or not needed.union(view.reads) <= set(base.names):
        raise Drifted([entry.name])
    kinds = {field.name: field.kind for field in entry.shape.fields}
    columns = [Column(name=name, kind=kinds.get(name, Kind.OTHER)) for name, _ in view.expressions]
    return views.shown(replace(view, base=base), columns, entry.name, None)


def _source(session: Session, views_as: Mapping[str, Table] = MappingProxyType({})) -> Source:
    entries = registered(session)
    now = wanted(session, [entry.settings for entry in entries.values() if entry.settings], views_as)
    _check_drift(session, now, entries)
    tracked = {entry.name: entry.tracked for entry in now.all}
    marked = {name: entries[tracked[name].stored.settings.name] for name in tracked}
    return Source(
        database=session.database,
        shapes=now.shapes,
        tables={name: rows_of(session.database, table, tracked.get(name)) for name, table in now.described.items()},
        tracked=tracked,
        sent=frozenset(now.sent),
        reread=frozenset(name for name, entry in marked.items() if entry.reread),
        paused=frozenset(name for name, entry in marked.items() if entry.paused),
    )


def _check_drift(session: Session, now: Wanted, entries: dict[str, Registered]) -> None:
    found, open_gaps = session.database.found(session), gaps(session)
    drifted = [c.name for c in now.captures if not is_current(c, entries.get(c.name), found, open_gaps)]
    drifted += [view.name for view in now.views if not view.is_current(entries.get(view.name))]
    if drifted:
        raise Drifted(drifted)


def check_configured(session: Session, config: Config) -> None:
    """Raise ConfigError where the file does not say what was installed."""
    entries = registered(session)
    now = wanted(session, config.tables)
    for capture in now.all:
        entry, settings = entries.get(capture.name), capture.tracked.settings
        if entry is None or not (entry.change or entry.base):
            raise ConfigError(
                f"{settings.of} {capture.name!r} has no triggers yet", hint="run cdc-sync install-triggers"
            )
        if settings.asks_other(entry.settings):
            raise ConfigError(
                f"the configuration of {settings.of} {capture.name!r} has changed since its triggers were installed",
                hint="run cdc-sync install-triggers",
            )


def follow(database: Database, config: Config, seal: Callable[[], object] | None = None) -> list[Installed]:
    """Capture anew what has changed, as the file still says it. Returns the tables that were followed.

    ``seal`` seals what waits for views as they were installed (``remembered``), where one has become another.
    """
    with database.begin(Mode.READ) as session:
        check_configured(session, config)
    done = install(database, config, include_existing=False, seal=seal)
    return [report for report in done if report.state != "unchanged"]


def pause(database: Database, config: Config, tables: Sequence[str]) -> list[str]:
    """Stop capturing tables (all of them where none is named). Returns those that were not paused already."""

    def work(session: Session) -> list[str]:
        chosen = [(c, e) for c, e in _chosen(session, config, tables) if not e.paused]
        for capture, entry in chosen:
            _pause(session, capture, entry)
        return [capture.name for capture, _ in chosen]

    return database.patiently(work)


def _pause(session: Session, capture: Capture, entry: Registered) -> None:
    database, tracked = session.database, capture.tracked
    session.run("lock_table", {"table": tracked.quoted})
    if not database.keeps_known:
        session.fill("known_create", known.holes(database, tracked))
    session.run("capture_stop", database.stop_holes(entry.change))
    session.run("captured_mark", table_name=capture.name, paused=True, reread=entry.reread)
    session.run("gap_add", change_table=entry.change, reason="paused")


def resume(database: Database, config: Config, tables: Sequence[str]) -> list[str]:
    """Capture paused tables again, and what happened to them meanwhile. Returns those that were paused."""
    with database.begin(Mode.WRITE) as session:
        names = [capture.name for capture, entry in _chosen(session, config, tables) if entry.paused]
        for name in names:
            session.run("captured_mark", table_name=name, paused=False, reread=registered(session)[name].reread)
    follow(database, config)
    return names


def _chosen(session: Session, config: Config, tables: Sequence[str]) -> list[tuple[Capture, Registered]]:
    if not is_installed(session):
        raise ConfigError(f"no triggers are installed in {session.database}", hint="run cdc-sync install-triggers")
    check_name(session, config.node.name)
    entries = registered(session)
    captured = [name for name, entry in entries.items() if entry.change]
    view = next((name for name in tables if name in entries and entries[name].base), None)
    if view is not None:
        base = entries[view].base
        raise ConfigError(f"view {view!r} is captured at table {base!r}", hint=f"name that one: {base}")
    unknown = next((name for name in tables if name not in captured), None)
    if unknown is not None:
        raise ConfigError(f"table {unknown!r} is not captured", hint="captured are " + ", ".join(captured))
    now = wanted(session, [entry.settings for entry in entries.values() if entry.settings])
    return [(c, entries[c.name]) for c in now.captures if not tables or c.name in tables]
