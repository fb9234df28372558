"""What the DBA's file asks for, as the database has it: the tables and views to be captured, and how."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from cdc_sync.core import plan
from cdc_sync.core.change import Shapes, Table, watched
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.views import Defined, bases
from cdc_sync.core.wire import encode_declared, encode_settings, encode_shape, encode_shown
from cdc_sync.databases import Database, Session, Tracked
from cdc_sync.errors import ConfigError
from cdc_sync.registry import Registered, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(ABC):
    """A table or view that is to be captured: everything known of it."""

    tracked: Tracked

    @property
    def name(self) -> str:
        return self.tracked.settings.name

    @property
    @abstractmethod
    def declared(self) -> str:
        """What the database says of it, to be known again."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """That of everything that its capture depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Entry):
    """How one table is to be captured, the scripts that do it."""

    change_script: str
    capture_script: str
    triggers: frozenset[str]

    @property
    def declared(self) -> str:
        return encode_declared(self.tracked.declared).decode()

    @property
    def digest(self) -> str:
        settings = encode_settings(self.tracked.settings).decode()
        return hashlib.sha256("\n".join((self.change_script, self.capture_script, settings)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing(Entry):
    """A view that is synced: captured at its base, and what it shows of that."""

    def is_current(self, entry: Registered | None) -> bool:
        """Whether the view is what it was when it was installed."""
        return entry is not None and bool(entry.base) and entry.digest == self.digest

    @property
    def declared(self) -> str:
        return self.tracked.shape.shows

    @property
    def digest(self) -> str:
        about = (encode_settings(self.tracked.settings), encode_shape(self.tracked.shape))
        return hashlib.sha256(b"\n".join(about)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list of the DBA's tables comes to: entries without wildcards, every table they need, their captures."""

    entries: Sequence[SyncedTable]
    described: Mapping[str, Table]
    shapes: Shapes
    captures: Sequence[Capture]
    views: Sequence[Showing] = ()

    @property
    def all(self) -> list[Entry]:
        """The tables and views that are captured."""
        return [*self.captures, *self.views]

    @property
    def sent(self) -> list[str]:
        """The tables and views of which rows travel under their own names."""
        tables = [capture.name for capture in self.captures if not capture.tracked.settings.only_views]
        return [*tables, *(view.name for view in self.views)]

    def defined(self, kind: str) -> list[Defined]:
        """The views as they are defined here, in a database of this kind."""
        return [Defined(name=view.name, kind=kind, view=view.tracked.table.shown) for view in self.views]


def wanted(
    session: Session, tables: Sequence[SyncedTable], views_as: Mapping[str, Table] = MappingProxyType({})
) -> Wanted:
    """What the DBA's tables ask for. Raises ConfigError where that cannot be had.

    ``views_as`` are views that are to be taken for others than what the database says of them.
    """
    if not tables:
        raise ConfigError("the configuration names no tables", hint="add [[tables]] with name and key")
    entries, described = _entries(session, tables, views_as)
    shapes = _with_views(plan.shapes(entries, described), entries, described, session.database.kind)
    captured = [entry for entry in entries if not entry.reference and not entry.view]
    plan.check_whole(captured, described)
    captures = [_capture(session, described[entry.name], shapes, entry) for entry in captured]
    views = [_showing(session, entry, captures, described, shapes) for entry in entries if entry.view]
    return Wanted(
        entries=entries,
        described={n: described[n] for n in shapes},
        shapes=shapes,
        captures=captures,
        views=views,
    )


def _entries(
    session: Session, tables: Sequence[SyncedTable], views_as: Mapping[str, Table]
) -> tuple[list[SyncedTable], Mapping[str, Table]]:
    """The entries without wildcards, every base among them, and what the database says of all these tables."""
    existing = [name for (name,) in session.run("tables")]
    entries = plan.expand([table for table in tables if not table.view], existing)
    views = [table for table in tables if table.view]
    if views:
        shown = [name for (name,) in session.run("views")]
        entries += plan.expand(views, shown)
    described = {**describe(session, [entry.name for entry in entries]), **views_as}
    _check_once(entries, described)
    plan.check_names(entries, described, existing if not views else [*existing, *shown])
    bases.check(entries, described)
    if views:
        entries = bases.entries(entries, described, session.database.kind)
        described = {**describe(session, [entry.name for entry in entries]), **views_as}
    return entries, described


def _with_views(shapes: Shapes, entries: Sequence[SyncedTable], described: Mapping[str, Table], kind: str) -> Shapes:
    """The shapes, those of views with what they show."""
    views = [entry.name for entry in entries if entry.view]
    return {**shapes, **{n: replace(shapes[n], shows=encode_shown(kind, described[n])) for n in views}}


def _showing(
    session: Session,
    entry: SyncedTable,
    captures: Sequence[Capture],
    described: Mapping[str, Table],
    shapes: Shapes,
) -> Showing:
    called = bases.base_of(entry, [capture.tracked.settings for capture in captures], described).name
    base = next(capture.tracked for capture in captures if capture.name == called)
    return Showing(tracked=track(session.database, described[entry.name], shapes, entry, base=base))


def _check_once(entries: Sequence[SyncedTable], described: Mapping[str, Table]) -> None:
    """Raise ConfigError where two names of the configuration mean the same table."""
    meant: dict[tuple[str | None, str], str] = {}
    for entry in entries:
        table = described.get(entry.name)
        if table is not None and (other := meant.setdefault((table.schema, table.name), entry.name)) != entry.name:
            raise ConfigError(f"[[tables]] names {other!r} twice, also as {entry.name!r}", hint="take one of them out")


def _capture(session: Session, table: Table, shapes: Shapes, settings: SyncedTable) -> Capture:
    tracked = track(session.database, table, shapes, settings)
    return Capture(
        tracked=tracked,
        change_script=session.database.change_script(tracked),
        capture_script=session.database.capture_script(tracked),
        triggers=frozenset(session.database.triggers(tracked)),
    )


def track(
    database: Database, table: Table, shapes: Shapes, settings: SyncedTable, base: Tracked | None = None
) -> Tracked:
    """What is known of a captured table; ``base`` is that of a view."""
    shape = shapes[settings.name]
    filtered = plan.filtered(settings, shape)
    if base is not None:
        columns = watched(shape, ())
        return Tracked(table=table, shape=shape, settings=settings, watched=columns, change=base.change, base=base)
    columns = watched(shape, shapes.values(), (*filtered, *settings.watch))
    declared = [(c.name, c.declared) for c in table.columns if c.name in shape.names]
    about = hashlib.sha256(repr((settings.name, declared, columns, encode_shape(shape))).encode()).hexdigest()[:8]
    return Tracked(
        table=table,
        shape=shape,
        settings=settings,
        watched=columns,
        change=database.change_name(f"{_shortened(settings.name)}_{about}"),
    )


def _shortened(name: str) -> str:
    """Short enough for a name around it within 63 bytes, and never cut inside a character."""
    return name.encode()[:40].decode(errors="ignore")


def row(entry: Entry, *, included: bool) -> dict[str, object]:
    """What is noted of a table or view that is captured (see ``captured_add.sql``)."""
    tracked = entry.tracked
    return {
        "table_name": entry.name,
        "change_table": None if tracked.base else tracked.change,
        "base": tracked.base.settings.name if tracked.base else None,
        "shape": encode_shape(tracked.shape).decode(),
        "settings": encode_settings(tracked.settings).decode(),
        "declared": entry.declared,
        "digest": entry.digest,
        "included": included,
    }
