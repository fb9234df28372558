"""What needs a hand: triggers, columns, rights, clocks and servers, each with the command that mends it."""

import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc_sync import aside, databases, peers, registry, troubles
from cdc_sync.config import Config, Destination
from cdc_sync.core import fit, skew
from cdc_sync.core.change import Kind, Shapes, Table
from cdc_sync.core.renames import Renames
from cdc_sync.core.views import Defined, landing
from cdc_sync.core.views.landing import Landed
from cdc_sync.core.wire import decode_declared, decode_header
from cdc_sync.databases import Database, Mode, Session, sqlfiles
from cdc_sync.errors import CdcSyncError, ConfigError
from cdc_sync.registry import Registered
from cdc_sync.wanted import Capture, Showing, Wanted, wanted

INSTALL = "cdc-sync install-triggers"
GROWING = 100_000
"""Changes in a change table, from which on it is said that nobody seals them."""

OPEN = 3600
"""Seconds that a transaction may stay open."""

CLOCKS = 60.0
"""Seconds by which two clocks may differ."""

_SOURCE = ("SELECT",)
_TARGET = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that somebody should know. ``urgent`` says that it needs a hand; ``mend`` is what to type."""

    subject: str
    message: str
    mend: str
    urgent: bool = True


def examine(database: Database, config: Config) -> list[Finding]:
    """Everything that can be seen from here. Raises ConfigError where nothing is installed."""
    with database.begin(Mode.READ) as session:
        if not registry.is_installed(session):
            raise ConfigError(f"no triggers are installed in {database}", hint=f"run {INSTALL}")
        registry.check_name(session, config.node.name)
        others = [*_others(session, config)]
        if not session.run("node") and (config.node.relay or config.sources or not config.tables):
            found = [*others, *_key(config), *_aside(session, "database", "", config.deferred_limit)]
            source = _Source(shapes={}, captured={}, clock=session.run("clock")[0][0], comparing={})
            return found + [each for d in config.databases for each in _destination(config, d, source)]
        now = wanted(session, config.tables)
        config.renames.check(now.shapes)
        found = [
            *others,
            *_node(session, config),
            *_captures(session, now),
            *_around(session, now, config.deferred_limit),
        ]
        found += _encoding(session, "database")
        source = _Source(
            shapes=now.shapes,
            captured={name: name for name in now.sent},
            clock=session.run("clock")[0][0],
            comparing=_comparing(session, Landed(shapes=now.shapes, described=now.described)),
            views=now.defined(session.database.kind),
        )
    for destination in config.databases:
        found += _destination(config, destination, source)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a destination is held against. ``captured``: the captured tables, and what this node calls them."""

    shapes: Shapes
    captured: Mapping[str, str]
    clock: float
    comparing: Mapping[tuple[str, str], tuple[str, str]]
    views: Sequence[Defined] = ()


def _node(session: Session, config: Config) -> Iterator[Finding]:
    rows = session.run("node")
    if not rows:
        yield Finding(subject=config.node.name, message="the node has no identity yet", mend=INSTALL)
        return
    try:
        registry.check_node(session, rows[0], config.node.name, config.key_path)
    except CdcSyncError as error:
        yield Finding(subject=config.node.name, message=str(error), mend=error.hint)
        return
    yield from _key(config)


def _key(config: Config) -> Iterator[Finding]:
    if config.key_path.exists() and stat.S_IMODE(config.key_path.stat().st_mode) & 0o077:
        mend = f"chmod 600 {config.key_path.name}"
        yield Finding(subject=config.node.name, message="others can read the device key", mend=mend)


def _others(session: Session, config: Config) -> Iterator[Finding]:
    """What went wrong with other nodes, and whose word cannot be believed."""
    for trouble in troubles.told(session):
        about = f", batches of {trouble.origin}" if trouble.origin not in ("", config.node.name) else ""
        message = f"{trouble.message} (since {trouble.since}; nothing was deleted)"
        mend = trouble.hint or "cdc-sync replicate --once tries it again"
        yield Finding(subject=f"{trouble.peer}{about}", message=message, mend=mend)
    for destination in config.final:
        if (
            destination not in config.databases
            and not destination.key
            and peers.find(session, destination.name) is None
        ):
            yield Finding(
                subject=f"destination {destination.name}",
                message="its key is not known here: no receipt of it can be believed, and batches wait for good",
                mend=f'cdc-sync enroll --with CODE --at {destination.name}; or key = "ssh-ed25519 ..." in the file',
                urgent=False,
            )


def _captures(session: Session, now: Wanted) -> Iterator[Finding]:
    entries, found, gaps = registry.registered(session), session.database.found(session), registry.gaps(session)
    for capture in now.captures:
        entry = entries.get(capture.name)
        if entry is None or not entry.change:
            yield Finding(subject=capture.name, message="is configured and not captured", mend=INSTALL)
        elif entry.paused:
            yield Finding(subject=capture.name, message="is paused", mend=f"cdc-sync resume {capture.name}")
        else:
            yield from _differences(capture, entry, found.get(entry.change, set()))
            if entry.change in gaps:
                why = f"changes were missed: {gaps[entry.change]}"
                yield Finding(subject=capture.name, message=why, mend="cdc-sync replicate --once")
    for view in now.views:
        yield from _shown(view, entries.get(view.name))
    for name in sorted(name for name, entry in entries.items() if entry.change or entry.base):
        if name not in {entry.name for entry in now.all}:
            of = "views" if entries[name].base else "tables"
            yield Finding(subject=name, message="is captured and not configured", mend=f"add [[{of}]] for it")


def _shown(view: Showing, entry: Registered | None) -> Iterator[Finding]:
    """Whether a view is captured as it is now; a node that replicates follows one that is not."""
    if entry is None or not entry.base:
        yield Finding(subject=view.name, message="is configured and not captured", mend=INSTALL)
    elif entry.settings != view.tracked.settings:
        message = "its configuration has changed since its triggers were installed"
        yield Finding(subject=view.name, message=message, mend=INSTALL)
    elif not view.is_current(entry):
        message = "the view has become another one since its triggers were installed"
        yield Finding(subject=view.name, message=message, mend=INSTALL)


def _differences(capture: Capture, entry: Registered, found: set[str]) -> Iterator[Finding]:
    if capture.tracked.settings.asks_other(entry.settings):
        message = "its configuration has changed since its triggers were installed"
        yield Finding(subject=capture.name, message=message, mend=INSTALL)
    for message in _columns(dict(decode_declared(entry.declared)), dict(capture.tracked.declared)):
        yield Finding(subject=capture.name, message=message, mend=INSTALL)
    for table, events in _by_table(capture.triggers - found).items():
        message = f"{table} has no trigger of ours for {', '.join(sorted(events))}"
        yield Finding(subject=capture.name, message=message, mend=INSTALL)
    same = not capture.tracked.settings.asks_other(entry.settings)
    if entry.digest != capture.digest and same and capture.triggers <= found:
        yield Finding(subject=capture.name, message="its triggers are not the present ones", mend=INSTALL)


def _columns(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    yield from (f"column {name!r} came since its triggers were installed" for name in now if name not in before)
    yield from (f"column {name!r} is gone" for name in before if name not in now)
    yield from (
        f"column {name!r} was {before[name]} and is {now[name]}"
        for name in now
        if name in before and before[name] != now[name]
    )


def _by_table(triggers: Iterable[str]) -> dict[str, set[str]]:
    tables: dict[str, set[str]] = {}
    for trigger in triggers:
        event, _, table = trigger.partition(" ")
        tables.setdefault(table, set()).add(event)
    return tables


def _aside(session: Session, subject: str, destination: str, limit: float) -> Iterator[Finding]:
    at = f" --at {destination}" if destination else ""
    for urgent, message in aside.told(session, limit):
        yield Finding(subject=subject, message=message, mend=f"cdc-sync dead-letters list{at}", urgent=urgent)


def _around(session: Session, now: Wanted, limit: float) -> Iterator[Finding]:
    for name, count in registry.unsealed(session).items():
        if count >= GROWING:
            message = f"{count} changes wait to be sealed"
            yield Finding(subject=name, message=message, mend="cdc-sync replicate")
    privileged = not session.database.guarded(session)
    for urgent, message, mend in session.database.health(session, seconds=OPEN, privileged=privileged):
        yield Finding(subject="database", message=message, mend=mend, urgent=bool(urgent))
    yield from _rights(session, [sqlfiles.quote(t.schema, t.name) for t in now.described.values()], _SOURCE)
    yield from _clock(session)
    yield from _aside(session, "database", "", limit)
    for name in sorted({name for (name,) in session.run("tables")} - set(now.shapes)):
        message = "nobody configured this table: its changes stay here"
        yield Finding(subject=name, message=message, mend="add [[tables]] for it, if it is to travel", urgent=False)


def _rights(session: Session, tables: list[str], rights: Sequence[str]) -> Iterator[Finding]:
    for table, right in session.database.lacking(session, tables, rights):
        role = session.database.url.username or "the role"
        message = f"{role} lacks the right to {right.lower()}"
        yield Finding(subject=table, message=message, mend=f"grant {right.lower()} on {table} to {role}")


def _clock(session: Session) -> Iterator[Finding]:
    headers = session.run("outbox_newest")
    sealed = decode_header(bytes(headers[0][0])).sealed_at if headers else ""
    if sealed > time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()):
        message = f"the clock says an earlier time than when the last batch was sealed ({sealed})"
        yield Finding(subject="clock", message=message, mend="set the machine's clock")


def _encoding(session: Session, subject: str) -> Iterator[Finding]:
    for (encoding,) in session.run("encoding"):
        message = f"its encoding is {encoding}, which does not hold every character: texts may be refused"
        yield Finding(subject=subject, message=message, mend="dump it, and restore it with encoding UTF8", urgent=False)


def _comparing(session: Session, landed: Landed) -> dict[tuple[str, str], tuple[str, str]]:
    """By table and key column: what it ignores when it compares texts, and what to type so that it ignores nothing."""
    return {
        (name, landed.came(name, column)): (ignores, mend)
        for name, shape in landed.shapes.items()
        for column, ignores, mend in session.run("comparing", name=landed.captured(name))
        if column in shape.key
    }


def _keys(source: _Source, session: Session, landed: Landed, subject: str) -> Iterator[Finding]:
    """Keys that are two on one side and one on the other."""
    for (name, column), (there, mend) in _comparing(session, landed).items():
        here = source.comparing.get((name, column), ("", ""))[0]
        what = f"key column {column!r} of table {name!r}"
        if there in ("", here) or (here, there) in _STRICTER:
            if here != there:
                message = f"{what} tells keys apart that are one here: they differ only in {here}"
                mend = "write keys at this node in one spelling, or have both sides compare alike"
                yield Finding(subject=subject, message=message, mend=mend, urgent=False)
            continue
        message = (
            f"{what} takes keys for one that are two here, where they differ only in {there}: one row of them stays"
        )
        yield Finding(subject=subject, message=message, mend=mend, urgent=there != _BLANKS)


_BLANKS = "blanks at the end"
"""No hand is needed: columns of fixed width are common, and texts that end in blanks are refused there."""

_STRICTER = (("case", "the case of A to Z"),)
"""What is ignored here, and less of it there."""


def _kinds(source: _Source, described: Mapping[str, Table], subject: str) -> Iterator[Finding]:
    """Columns of which the two sides think differently: rows may be refused for what stands in them."""
    for name in source.captured:
        for field in source.shapes[name].fields:
            there = described[name].column(field.name) if name in described else None
            if (
                there is None
                or not described[name].takes(field.name)
                or there.kind is field.kind
                or (field.kind, there.kind) in _READABLE
            ):
                continue
            message = (
                f"column {field.name!r} of table {name!r} is {there.declared or 'of no type'}, and {field.kind.value} "
                "here: a value that does not mean the same there is refused"
            )
            mend = "declare it alike on both sides, or see which rows are refused"
            yield Finding(subject=subject, message=message, mend=mend, urgent=False)


_READABLE = (
    (Kind.INTEGER, Kind.NUMERIC),
    (Kind.TEXT, Kind.UUID),
    (Kind.UUID, Kind.TEXT),
    (Kind.TEXT, Kind.JSON),
    (Kind.JSON, Kind.TEXT),
    (Kind.OTHER, Kind.TEXT),
    (Kind.TEXT, Kind.OTHER),
)
"""Here and there: what is usually meant, because one of the two databases has no better type."""


def _destination(config: Config, destination: Destination, source: _Source) -> list[Finding]:
    subject = f"destination {destination.name}"
    try:
        with databases.connect(destination.url, config.folder) as target, target.begin(Mode.READ) as session:
            if registry.is_installed(session) and not registry.role(session).applies:
                return []
            waiting = list(_aside(session, subject, destination.name, config.deferred_limit))
            waiting += _target(session, subject, _renamed(source, config.renames))
            return waiting + (list(_defined(session, subject, source, config.renames)) if source.views else [])
    except CdcSyncError as error:
        return [Finding(subject=subject, message=str(error), mend=error.hint)]


def _defined(session: Session, subject: str, source: _Source, renames: Renames) -> Iterator[Finding]:
    """Views that show something else there than here."""
    from cdc_sync import counterparts  # sqlglot costs a fifth of a second at every start; few files have a view

    for name, what in counterparts.differences(session, source.views, renames):
        message = f"view {name!r} is another one there: {what}"
        mend = "define it alike on both sides; install-triggers --with-views makes it where there is none"
        yield Finding(subject=subject, message=message, mend=mend, urgent=False)


def _renamed(source: _Source, renames: Renames) -> _Source:
    """The same, in the destinations' names."""
    return _Source(
        shapes=renames.named(source.shapes),
        captured={renames.table(name): name for name in source.captured},
        clock=source.clock,
        comparing={
            (renames.table(table), renames.column(table, column)): how
            for (table, column), how in source.comparing.items()
        },
    )


def _left_out(source: _Source, described: Mapping[str, Table], subject: str) -> Iterator[Finding]:
    for table, column in fit.left_out(source.shapes, source.captured, described):
        message = f"table {table!r} has no column {column!r}: its values stay here"
        mend = f"add it there, then cdc-sync resync {source.captured[table]}"
        yield Finding(subject=subject, message=message, mend=mend, urgent=False)


def _made_there(source: _Source, described: Mapping[str, Table], subject: str) -> Iterator[Finding]:
    """Columns that a view makes by itself."""
    for name in source.captured:
        for column in source.shapes[name].names:
            if name in described and described[name].column(column) and not described[name].takes(column):
                message = f"view {name!r} makes column {column!r} by itself: what comes for it is not written"
                mend = "write exclude for it here, if it is not to travel"
                yield Finding(subject=subject, message=message, mend=mend, urgent=False)


def _target(session: Session, subject: str, source: _Source) -> Iterator[Finding]:
    described = session.database.describe(session, sorted(source.shapes))
    landed = landing.land(source.shapes, described)
    for name in skew.wanted(landed.shapes, source.captured, landed.described):
        try:
            one = [name] if name in source.captured else []
            fit.check_landed(landed.alone(name), [name], one, subject, session.database)
        except ConfigError as error:
            yield Finding(subject=subject, message=str(error), mend=error.hint)
    yield from _left_out(source, described, subject)
    yield from _made_there(source, described, subject)
    yield from _kinds(source, described, subject)
    yield from _keys(source, session, landed, subject)
    yield from _encoding(session, subject)
    written = [landed.described[name] for name in source.captured if name in described]
    tables = sorted({sqlfiles.quote(table.schema, table.name) for table in written})
    yield from _rights(session, tables, _TARGET)
    apart = session.run("clock")[0][0] - source.clock
    if abs(apart) > CLOCKS:
        where = "ahead of" if apart > 0 else "behind"
        message = f"its clock is {abs(apart):.0f} s {where} this node's"
        yield Finding(subject=subject, message=message, mend="set both machines' clocks")
