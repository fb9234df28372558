"""What a node's own applications wrote in tables that it receives too: their rows carry the node's own version."""

from collections.abc import Iterable, Mapping

from cdc_sync import registry
from cdc_sync.core.change import Table
from cdc_sync.databases import Session, Tracked, versions


def note_unsealed(session: Session, version_tables: Mapping[str, str], described: Mapping[str, Table]) -> None:
    """Note what is captured here and not sealed yet, before somebody else's batch is applied."""
    rows = session.run("node")
    if not rows:
        return
    entries = registry.registered(session)
    for name, version_table in version_tables.items():
        entry = entries.get(name)
        if entry is None or not entry.change or entry.settings is None:
            continue
        tracked = Tracked(
            table=described[name], shape=entry.shape, settings=entry.settings, watched=(), change=entry.change
        )
        if entry.shape.identity == described[name].told_apart_by(entry.shape.key):
            versions.note_own(session, version_table, tracked, rows[0][0])


def note_sealed(session: Session, sealed: Iterable[Tracked]) -> None:
    """Note what is being sealed, of those tables that receive too."""
    known = {table: name for table, name, _ in session.run("versioned")}
    if not known:
        return
    node = session.run("node")[0][0]
    for tracked in sealed:
        table = tracked.table
        name = known.get(f"{table.schema}.{table.name}" if table.schema else table.name)
        if name is not None and tracked.shape.identity == table.told_apart_by(tracked.shape.key):
            versions.note_own(session, name, tracked, node)
