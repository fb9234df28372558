"""Views as they come to be synced and as they become others: which rows come into a view by that, and which leave it.

Nothing happens to the rows themselves, so no trigger tells of it. Those that leave are noted as such, those that come
as rows to be sent as they stand.
"""

from collections.abc import Mapping
from dataclasses import replace

from cdc_sync.core import views
from cdc_sync.core.change import View
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.wire import decode_declared, decode_shown
from cdc_sync.databases import Session, Tracked, notes, showing, sqlfiles
from cdc_sync.registry import Registered

ROWS = "cdc_sync_rows"
"""The temporary table of rows to be noted."""

NOBODY = "1 = 0"


def send(session: Session, tracked: Tracked, besides: str = NOBODY) -> int:
    """Have a view's rows sent as they stand, except those of a condition; returns how many."""
    wanted = f"({_belongs(session, tracked)}) and ({besides}) is not true"
    session.database.keep(session, ROWS, showing.chosen(session.database, tracked, wanted))
    return notes.write(session, tracked, ROWS)


def count(session: Session, tracked: Tracked) -> int:
    """How many rows the view sends now."""
    wanted = _belongs(session, tracked)
    return int(session.query(showing.count(session.database, tracked, wanted))[0][0])


def follow(session: Session, tracked: Tracked, entry: Registered, base: Registered) -> str:
    """A view has become another one since it was registered so: have the rows sent that came, others taken away.

    ``base`` is its table as it was registered then. Returns why rows may have left unseen, where that cannot be said.
    """
    was, settings = decode_shown(entry.declared)[1], entry.settings or tracked.settings
    session.run("lock_table", {"table": tracked.quoted})
    called = _called_now(tracked, base)
    former = _former(session, was, settings, called)
    if former is None:
        send(session, tracked)
        return "its condition was about columns that are gone"
    names = {"change": tracked.change, "name": tracked.settings.name, "table": tracked.quoted}
    now = _belongs(session, tracked)
    watched = sqlfiles.columns(tracked.stored.watched)
    session.run("filtered_out", {**names, "watched": watched, "former": former, "filter": now})
    same = _shown(session, tracked, was, settings, called)
    send(session, tracked, former if same else NOBODY)
    return ""


def _belongs(session: Session, tracked: Tracked) -> str:
    return showing.belongs(tracked.table.shown, tracked.settings, session.database.kind, sqlfiles.quote)


def _called_now(tracked: Tracked, base: Registered) -> Mapping[str, str]:
    """What the base's former columns are called: one that is gone may be one that came, of the same type, in order."""
    before, table = decode_declared(base.declared), tracked.table.stored
    found = {name: name for name in table.names}
    came = [c for c in tracked.stored.declared if c[0] not in dict(before)]
    for name, declared in before:
        new = next((column for column in came if column[1] == declared), None)
        if name not in found and new is not None:
            found[name] = new[0]
            came.remove(new)
    return found


def _former(session: Session, was: View, settings: SyncedTable, called: Mapping[str, str]) -> str | None:
    """The condition for rows that belonged; None where columns that it needs are gone."""

    def column(name: str) -> str:
        return sqlfiles.quote(called[name])

    try:
        return showing.belongs(was, settings, session.database.kind, column)
    except KeyError:
        return None


def _shown(session: Session, tracked: Tracked, was: View, settings: SyncedTable, called: Mapping[str, str]) -> bool:
    """Whether the view shows the same of a row as before, so that only rows that came are news."""
    if replace(settings, where=tracked.settings.where) != tracked.settings:
        return False
    before, now = dict(was.expressions), dict(tracked.table.shown.expressions)
    kind = session.database.kind
    try:
        return all(
            views.render(before[name], kind, lambda column: sqlfiles.quote(called[column]))
            == views.render(now[name], kind, sqlfiles.quote)
            for name in tracked.shape.names
        )
    except KeyError:
        return False
