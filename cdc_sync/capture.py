"""The first room: triggers that write every change of a synced table into its change table, in the same transaction."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cdc_sync import identity, members, renew
from cdc_sync.config import Config
from cdc_sync.core.wire import encode_settings, encode_shape
from cdc_sync.databases import Database, Mode, Session, Tracked, known, sqlfiles
from cdc_sync.errors import CdcSyncError, ConfigError, counted
from cdc_sync.registry import (
    REWRITTEN,
    Registered,
    check_name,
    check_node,
    gaps,
    is_installed,
    registered,
    rewritten,
    to_reread,
    unsent,
    waiting,
)
from cdc_sync.wanted import Capture, Entry, Showing, Wanted, row, wanted

SEALS = 5
"""How often what waits is sealed, while writers go on, before something else is asked of a table: after that, what came
since the last time is taken as what it is now.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the installation did with one table: ``existing`` rows stood in it; ``state`` is new, renewed, unchanged.

    ``unseen`` says why rows may have been deleted or given another key without being captured, where nothing here can
    tell which: they are to be looked for at the destinations.
    """

    table: str
    state: str
    existing: int
    captured_existing: bool
    unseen: str = ""


def install_script(session: Session, config: Config) -> str:
    """What the installation would run, for a DBA to read; touches nothing."""
    now = wanted(session, config.tables)
    config.renames.check(now.shapes)
    known_already = registered(session) if is_installed(session) else {}
    parts = [session.database.install_script(session)]
    for capture in now.captures:
        former = known_already.get(capture.name)
        if former is None or former.digest != capture.digest:
            parts += [capture.change_script, capture.capture_script, *_known_script(session.database, capture.tracked)]
            parts.append(_registration(session, capture))
    new = [view for view in now.views if view.name not in known_already]
    return "\n".join([*parts, *(_registration(session, view) for view in new)])


def _known_script(database: Database, tracked: Tracked) -> list[str]:
    return [known.fill(database, "known_create", tracked)] if database.keeps_known else []


def _registration(session: Session, entry: Entry) -> str:
    """``captured_add`` as runnable text."""
    texts = {name: _literal(value) for name, value in row(entry, included=False).items()}
    return re.sub(r":(\w+)", lambda match: texts[match[1]], session.database.text("captured_add"))


def _literal(value: object) -> str:
    return sqlfiles.literal(value) if isinstance(value, str) else "null" if value is None else "false"


def install(
    database: Database, config: Config, *, include_existing: bool, seal: Callable[[], object] | None = None
) -> list[Installed]:
    """Install what is missing or out of date, all in one transaction; writers wait for it, none slips through.

    ``seal`` is called first where changes wait that were captured under another configuration.
    """
    made = not config.key_path.exists()
    try:
        left = 0
        for _ in range(SEALS if seal is not None else 0):
            waits = _reconfigured(database, config)
            if waits and waits == left:
                break  # it cannot be sealed
            if seal is not None and waits:
                seal()
            with suppress(_Unsealed):
                return database.patiently(lambda session: _install(session, config, include_existing, sealed=True))
            left = waits
        return database.patiently(lambda session: _install(session, config, include_existing, sealed=False))
    except BaseException:
        if made:
            config.key_path.unlink(missing_ok=True)
        raise


class _Unsealed(Exception):
    """Changes have come since all that waited was sealed."""


def _reconfigured(database: Database, config: Config) -> int:
    """How many changes wait that were captured under another configuration, or for a view that was another one."""
    with database.begin(Mode.READ) as session:
        if not is_installed(session):
            return 0
        now, former = wanted(session, config.tables), registered(session)
        return sum(waiting(session, entry.change) for _, entry in _others(now, former))


def _others(now: Wanted, former: Mapping[str, Registered]) -> list[tuple[Tracked, Registered]]:
    """The tables, and what was registered of them, of which something else is asked now, by themselves or a view."""
    tracked = [c.tracked for c in now.captures if c.name in former and _asks_other(c, former[c.name])]
    tracked += [view.tracked.stored for view in now.views if not view.is_current(former.get(view.name))]
    found = {each.settings.name: each for each in tracked}
    return [(found[name], former[name]) for name in sorted(found) if name in former and former[name].change]


def _asks_other(capture: Capture, entry: Registered) -> bool:
    return capture.tracked.settings.asks_other(entry.settings)


def _check_sealed(session: Session, now: Wanted, former: Mapping[str, Registered]) -> None:
    """Raise _Unsealed where changes wait that mean something else from now on; no more come until all is done."""
    for tracked, entry in _others(now, former):
        session.run("lock_table", {"table": tracked.quoted})
        if waiting(session, entry.change):
            raise _Unsealed


def _install(session: Session, config: Config, include_existing: bool, *, sealed: bool) -> list[Installed]:
    now = wanted(session, config.tables)
    config.renames.check(now.shapes)
    if not is_installed(session):
        session.database.check_bystanders(session)
    session.script(session.database.install_script(session))
    _ensure_node(session, config)
    former = _under_new_names(session, registered(session), now.captures)
    _check_removed(former, now)
    if sealed:
        _check_sealed(session, now, former)
    found, open_gaps = session.database.found(session), gaps(session)
    report, included = [], set()
    for capture in now.captures:
        entry = former.get(capture.name)
        current = is_current(capture, entry, found, open_gaps)
        if entry is None or not entry.change:
            _begin(session, capture)
        unseen = _renew(session, capture, entry, former) if entry and entry.change and not current else ""
        captured = include_existing and not (entry and entry.included) and _include(session, capture.tracked)
        done = _report(session, capture, entry, current=current, captured=captured)
        report.append(replace(done, unseen=unseen))
        included |= {capture.name} if captured else set()
    for view in now.views:
        told = view.tracked.stored.settings.name in included
        report.append(_show(session, view, former, include=include_existing, told=told))
    _register_parents(session, now)
    return [done for done in report if done.table in now.sent or done.unseen]


def _show(session: Session, view: Showing, former: Mapping[str, Registered], *, include: bool, told: bool) -> Installed:
    """Have a view synced that is captured at its base; ``told``: the base's rows were captured as they stand."""
    entry, tracked = former.get(view.name), view.tracked
    known_before = entry is not None and bool(entry.base)
    current = view.is_current(entry)
    unseen = ""
    if entry is not None and known_before and not current:
        unseen = members.follow(session, tracked, entry, former[entry.base])
    captured = include and not (entry is not None and entry.included)
    if captured and not told:
        members.send(session, tracked)
    if captured or not current:
        session.run("captured_remove", table_name=view.name)
        session.run("captured_add", **row(view, included=captured or (entry is not None and entry.included)))
    return Installed(
        table=view.name,
        state="unchanged" if current else "renewed" if known_before else "new",
        existing=members.count(session, tracked),
        captured_existing=captured,
        unseen=unseen,
    )


def is_current(
    capture: Capture, entry: Registered | None, found: Mapping[str, set[str]], open_gaps: Mapping[str, str]
) -> bool:
    """Whether a table is captured as it should be, and has been all the time; a paused one is as it should be."""
    if entry is None or entry.digest != capture.digest:
        return False
    return entry.paused or (found.get(entry.change, set()) == capture.triggers and entry.change not in open_gaps)


def _renew(session: Session, capture: Capture, entry: Registered, others: Mapping[str, Registered]) -> str:
    """Capture a table anew: its waiting changes are carried over, and a gap in its capture is closed.

    Returns why rows may have gone unseen, if nothing tells which (see ``Installed``).
    """
    tracked, database = capture.tracked, session.database
    was = renew.former(entry, others)
    session.run("lock_table", {"table": tracked.quoted})
    database.follow_branches(session, entry.change)
    missed = (
        not capture.triggers <= database.found(session).get(entry.change, set())
        or entry.change in to_reread(session)
        or database.blind(session, tracked, entry.change)
    )
    _advance_known(session, was.tracked(tracked))
    session.run("capture_stop", database.stop_holes(entry.change))
    if tracked.change != entry.change:
        session.script(capture.change_script)
    incomplete = renew.replace(session, tracked, was)
    session.fill("captured_set", {"change": tracked.change}, **row(capture, included=entry.included))
    if tracked.change != entry.change:
        release(session, entry.change)
    reread = registered(session)[capture.name].reread or incomplete
    session.run("captured_mark", table_name=capture.name, paused=entry.paused, reread=reread)
    renew.refilter(session, tracked, was)
    if entry.paused:
        if missed:
            session.run("gap_add", change_table=tracked.change, reason="paused")
        return ""
    session.script(database.capture_script(tracked, guarded=database.guarded(session)))
    gap = gaps(session).get(entry.change, "")
    unseen = renew.unseen(session, tracked, "" if gap == REWRITTEN else gap, missed=missed)
    again = missed or entry.change in rewritten(session)
    if again or tracked.settings.asks_other(entry.settings) or renew.needs_reading(session, tracked, was):
        renew.settle(session, tracked, missed=missed)
    if not database.keeps_known:
        session.run("known_drop", {"known": database.known_name(tracked.change)})
    for change in (entry.change, tracked.change):
        session.run("gap_close", change_table=change)
    return unseen


def _advance_known(session: Session, tracked: Tracked) -> None:
    """Before known rows are compared with: they are to hold everything that was captured."""
    if set(tracked.shape.identity) <= set(tracked.table.names):
        newest = session.run("newest", {"change": tracked.change})[0][0]
        session.database.advance_known(session, tracked.change, known.holes(session.database, tracked), newest)


def _begin(session: Session, capture: Capture) -> None:
    """Capture a table for the first time."""
    tracked, database = capture.tracked, session.database
    session.run("lock_table", {"table": tracked.quoted})
    session.script(capture.change_script)
    if database.keeps_known:
        session.fill("known_create", known.holes(database, tracked))
    session.script(database.capture_script(tracked, guarded=database.guarded(session)))
    session.run("captured_remove", table_name=capture.name)
    session.run("captured_add", **row(capture, included=False))


def _include(session: Session, tracked: Tracked) -> bool:
    """Capture the rows that stand in the table."""
    session.run("lock_table", {"table": tracked.quoted})
    holes = {"table": tracked.quoted, "change": tracked.change, "captured": sqlfiles.columns(tracked.shape.names)}
    session.run("capture_existing", holes)
    session.run("captured_include", table_name=tracked.settings.name)
    return True


def _report(
    session: Session, capture: Capture, former: Registered | None, *, current: bool, captured: bool
) -> Installed:
    existing = session.run("count_rows", {"table": capture.tracked.quoted})[0][0]
    state = "unchanged" if current else "renewed" if former and former.change else "new"
    return Installed(table=capture.name, state=state, existing=existing, captured_existing=captured)


def _register_parents(session: Session, now: Wanted) -> None:
    """Note the tables that are looked up but not captured, as they are now."""
    settings = {entry.name: encode_settings(entry).decode() for entry in now.entries}
    for name in sorted(set(now.shapes) - {entry.name for entry in now.all}):
        session.run("captured_remove", table_name=name)
        row = {
            "change_table": None,
            "base": None,
            "declared": "",
            "digest": "",
            "included": False,
            "settings": settings.get(name, ""),
        }
        session.run("captured_add", table_name=name, shape=encode_shape(now.shapes[name]).decode(), **row)


def _under_new_names(
    session: Session, former: Mapping[str, Registered], captures: Sequence[Capture]
) -> dict[str, Registered]:
    """What is registered, by the names that the file gives tables now: our triggers go with a table that is renamed."""
    found, names = session.database.found(session), {capture.name for capture in captures}
    entries = dict(former)
    for old, entry in former.items():
        on = found.get(entry.change, set())
        new = next((c.name for c in captures if c.name not in former and on & c.triggers), None)
        if entry.change and old not in names and new is not None:
            session.run("captured_remove", table_name=new)
            session.run("captured_rename", table_name=old, renamed=new)
            entries[new] = replace(entries.pop(old), name=new)
    return entries


def _check_removed(former: Mapping[str, Registered], now: Wanted) -> None:
    kept = {entry.name for entry in now.all}
    views = [name for name, entry in former.items() if entry.base and name not in kept]
    tables = [name for name, entry in former.items() if entry.change and name not in kept]
    removed = [*(f"view {name!r}" for name in sorted(views)), *(f"table {name!r}" for name in sorted(tables))]
    if removed:
        raise ConfigError(
            f"{removed[0]} is captured but no longer configured",
            hint="put it back, or run uninstall-triggers first and install again",
        )


def _ensure_node(session: Session, config: Config) -> None:
    """Give the node its key and epoch, or check that they are still its own."""
    rows = session.run("node")
    if not rows:
        key = identity.load(config.key_path) if config.key_path.exists() else identity.create(config.key_path)
        public = key.public_key().public_bytes_raw()
        session.run("node_add", name=config.node.name, epoch=uuid.uuid4().hex, public_key=public)
    else:
        check_node(session, rows[0], config.node.name, config.key_path)


def release(session: Session, change: str) -> None:
    """Remove a table's triggers and its change table."""
    for name, holes in _release(session.database, change):
        session.run(name, holes)


def _release(database: Database, change: str) -> list[tuple[str, dict[str, str]]]:
    names = {"change": change, "known": database.known_name(change)}
    return [("capture_stop", database.stop_holes(change)), ("release", names)]


def release_script(session: Session) -> str:
    """What the uninstallation would run, for a DBA to read; touches nothing."""
    database = session.database
    changes = [entry.change for entry in registered(session).values() if entry.change]
    parts = [
        sqlfiles.fill(database.text(name), holes) for change in changes for name, holes in _release(database, change)
    ]
    parts += [sqlfiles.fill(database.text("version_drop"), {"name": name}) for _, name, _ in session.run("versioned")]
    return "\n".join([*parts, database.text("uninstall")])


def uninstall(database: Database, name: str, *, discard: bool) -> int:
    """Remove everything of ours; returns how many waiting changes were discarded. ``name`` is the node's."""
    return database.patiently(lambda session: _uninstall(session, name, discard=discard))


def _uninstall(session: Session, name: str, *, discard: bool) -> int:
    if not is_installed(session):
        return 0
    check_name(session, name)
    _check_forgotten(session, discard=discard)
    captured = [entry for entry in registered(session).values() if entry.change]
    for table in session.database.describe(session, [entry.name for entry in captured]).values():
        session.run("lock_table", {"table": sqlfiles.quote(table.schema, table.name)})
    waiting = unsent(session)
    if waiting and not discard:
        raise CdcSyncError(
            f"{counted(waiting, 'change')} not applied at every destination yet",
            hint="run cdc-sync replicate --once first, or give --discard to lose them",
        )
    for entry in captured:
        release(session, entry.change)
    for _, versions, _ in session.run("versioned"):
        session.run("version_drop", {"name": versions})
    session.run("uninstall")
    return waiting


def _check_forgotten(session: Session, *, discard: bool) -> None:
    """Raise CdcSyncError where other nodes' positions would be lost."""
    origins = sorted({row[0] for row in session.run("positions")})
    if origins and not discard:
        raise CdcSyncError(
            f"this database also receives from {', '.join(origins)}, and would forget how far they have come",
            hint="give --discard if they send no more, or will be installed again",
        )
