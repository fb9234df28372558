"""Capturing a table anew, when it or what is wanted of it has changed: nothing that waits is lost, no gap stays."""

from collections.abc import Mapping
from dataclasses import dataclass

from cdc_sync.core import plan
from cdc_sync.core.change import watched
from cdc_sync.core.wire import decode_declared
from cdc_sync.databases import Session, Tracked, known, sqlfiles
from cdc_sync.registry import Registered, waiting


@dataclass(frozen=True, slots=True)
class Former:
    """The capture that is replaced: what was registered of it, and the columns whose old values its changes keep."""

    entry: Registered
    watched: tuple[str, ...]

    @property
    def declared(self) -> Mapping[str, str]:
        return dict(decode_declared(self.entry.declared))

    def tracked(self, now: Tracked) -> Tracked:
        """The table as it was captured."""
        return Tracked(
            table=now.table,
            shape=self.entry.shape,
            settings=self.entry.settings or now.settings,
            watched=self.watched,
            change=self.entry.change,
        )

    def counterpart(self, now: Tracked, name: str) -> str | None:
        """What a column was called: a key column that was renamed keeps its place among the watched ones."""
        if name in self.entry.shape.names:
            return name
        if name in now.watched and len(now.watched) == len(self.watched):
            place = self.watched[now.watched.index(name)]
            return None if place in now.shape.names else place
        return None


def former(entry: Registered, others: Mapping[str, Registered]) -> Former:
    also = (*plan.filtered(entry.settings, entry.shape), *entry.settings.watch) if entry.settings else ()
    return Former(entry, watched(entry.shape, [other.shape for other in others.values()], also))


def replace(session: Session, now: Tracked, was: Former) -> bool:
    """Put the table's change table in the place of a former one, with the changes that wait.

    Returns whether rows have to be read as they stand when these are sealed, because columns are missing in them. The
    triggers are the caller's to stop before and to make afterwards.
    """
    database, entry = session.database, was.entry
    if now.change == entry.change:
        return False
    columns = _carried(session, now, was)
    holes = {
        "change": now.change,
        "former": entry.change,
        "former_table": entry.change,
        "columns": "".join(f", {sqlfiles.quote(column)}" for column in columns),
        "carried": "".join(f", {value}" for value in columns.values()),
    }
    session.run("carry", holes)
    incomplete = waiting(session, entry.change) > 0 and not set(now.shape.names) <= set(columns)
    if _keeps_known(session, entry.change):
        if len(now.watched) == len(was.watched):
            names = {"former": database.known_name(entry.change), "known": database.known_name(now.change)}
            session.run("known_rename", names)
        else:
            session.fill("known_create", known.holes(database, now))
    return incomplete


def _carried(session: Session, now: Tracked, was: Former) -> dict[str, str]:
    """Columns of the change table, each with what it takes over; those of another type are read again, except keys."""
    declared, before = dict(now.declared), was.declared
    old = dict(zip(was.watched, was.tracked(now).old, strict=True))
    found: dict[str, str] = {}
    for name in now.shape.names:
        earlier = was.counterpart(now, name)
        if earlier is not None and (before[earlier] == declared[name] or name in now.watched):
            found[name] = session.database.retype(sqlfiles.quote(earlier), declared[name])
    for mine, name in zip(now.old, now.watched, strict=True):
        if (earlier := was.counterpart(now, name)) in old:
            found[mine] = session.database.retype(sqlfiles.quote(old[earlier]), declared[name])
    return found


def _keeps_known(session: Session, change: str) -> bool:
    return bool(session.run("known_exists", name=session.database.known_name(change))[0][0])


def needs_reading(session: Session, now: Tracked, was: Former) -> bool:
    """Whether rows hold what no change tells of: a column that came filled, or whose type was changed."""
    before = was.declared
    changed = [name for name, declared in now.declared if before.get(name, declared) != declared]
    came = [name for name, _ in now.declared if name not in before]
    return bool(changed) or any(session.run("filled", {"table": now.quoted, "column": name}) for name in came)


def unseen(session: Session, now: Tracked, reason: str, *, missed: bool) -> str:
    """Why deletions may have gone unseen, in words; nothing where none can have, or where the known rows tell them."""
    if not (missed or reason) or _keeps_known(session, now.change):
        return ""
    return reason or "its triggers were gone or disabled"


def settle(session: Session, now: Tracked, *, missed: bool) -> None:
    """Read the table again. ``missed``: changes were missed, so what is gone is looked for among the known rows."""
    holes = known.holes(session.database, now)
    session.fill("known_differ" if missed and _keeps_known(session, now.change) else "capture_again", holes)


def refilter(session: Session, now: Tracked, was: Former) -> None:
    """Take rows off the server that the former filter let pass and the present one does not."""
    past = was.entry.settings
    if past is None or past.where == now.settings.where or not now.settings.where:
        return
    if not set(plan.filtered(past, was.entry.shape)) <= set(now.shape.names):
        return
    conditions = {
        "name": now.settings.name,
        "former": _condition(session, past.where, now),
        "filter": _condition(session, now.settings.where, now),
    }
    session.fill("filtered_out", {**known.holes(session.database, now), **conditions})


def _condition(session: Session, where: str, now: Tracked) -> str:
    if not where:
        return "1 = 1"
    from cdc_sync.core import filters  # sqlglot costs a fifth of a second at every start; few files have a filter

    return filters.render(where, now.settings.name, session.database.kind, sqlfiles.quote)
