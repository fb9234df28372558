"""Views that are synced: what each asks of its base, which is captured once for itself and for all of them.

A view's changes are those of its base, seen through it. So the base is captured even where the file names only the
view; then nothing besides the view's columns is captured, and nothing of the base travels under its own name.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cdc_sync.core import views
from cdc_sync.core.change import Table, View
from cdc_sync.core.plan import CAPTURES, SyncedTable
from cdc_sync.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What one view asks of its base: the columns that it shows or reads, and those whose former values it needs."""

    entry: SyncedTable
    table: Table
    view: View
    used: frozenset[str]
    watch: frozenset[str]


def entries(wanted: Sequence[SyncedTable], described: Mapping[str, Table], kind: str) -> list[SyncedTable]:
    """The entries with every view's key, and every base as its views need it, with one of its own where it had none.

    ``kind`` is the database's. Raises ConfigError for a view that is no proxy of one table, or asks for what its base
    does not give.
    """
    views = [_asked(_keyed(entry, wanted, described), described, kind) for entry in wanted if entry.view]
    found = [made for entry in wanted if not entry.view and (made := _with_views(entry, described, views))]
    named = {described[entry.name].called for entry in found}
    for asked in views:
        if asked.table.stored.called not in named:
            named.add(asked.table.stored.called)
            found.append(_made(asked, views))
    return [*found, *(asked.entry for asked in views)]


def base_of(view: SyncedTable, wanted: Iterable[SyncedTable], described: Mapping[str, Table]) -> SyncedTable:
    """The entry of a view's base."""
    called = described[view.name].stored.called
    return next(entry for entry in wanted if not entry.view and described[entry.name].called == called)


def check(wanted: Sequence[SyncedTable], described: Mapping[str, Table]) -> None:
    """Raise ConfigError for a view among the tables or a table among the views, and for a view that is no proxy."""
    for entry in wanted:
        view = described[entry.name].view
        if view is not None and not entry.view:
            raise ConfigError(
                f"the database has no table {entry.name!r}, but a view of this name",
                hint="write its entry under [[views]], or name its table",
            )
        if entry.view and view is None:
            raise ConfigError(f"{entry.name!r} is a table and no view", hint="write its entry under [[tables]]")
        if view is not None and view.base is None:
            raise ConfigError(
                view.refusal,
                hint="sync the tables that it reads, and have the same view at the destination",
            )


def _keyed(entry: SyncedTable, wanted: Sequence[SyncedTable], described: Mapping[str, Table]) -> SyncedTable:
    """The entry with a key: its own, or what the view shows of its base's."""
    if entry.key:
        return entry
    table = described[entry.name]
    shown = {base: column for column, base in table.shown.plain}
    base = next((e for e in wanted if not e.view and e.key and described[e.name].called == table.stored.called), None)
    keys = [base.key] if base is not None else _speaking(table.stored)
    for key in keys:
        if shown.keys() >= set(key):
            return replace(entry, key=tuple(shown[column] for column in key))
    raise ConfigError(
        f"view {entry.name!r} has no key, and shows none of its table {table.shown.table!r}",
        hint='add its natural key, in the names of its columns: key = ["column", ...]',
    )


def _speaking(table: Table) -> list[tuple[str, ...]]:
    """Unique keys of a table that are no number of its own, and hold no null."""
    firm = {column.name for column in table.columns if not column.nullable}
    return [key for key in table.uniques if key != table.primary_key and firm.issuperset(key)]


def _asked(entry: SyncedTable, described: Mapping[str, Table], kind: str) -> _Asked:
    table = described[entry.name]
    view, plain = table.shown, dict(table.shown.plain)
    _check_named(entry, table)
    computed = next((column for column in entry.key if column not in plain), None)
    if computed is not None:
        raise ConfigError(
            f"view {entry.name!r}: its key names {computed!r}, which is worked out and no column of its table",
            hint="name columns that the view takes from its table as they are",
        )
    reads = {column: set(views.reads(text, kind)) for column, text in view.expressions}
    made = {column.name for column in table.columns if column.generated}
    shown = [reads[column] for column in table.names if column not in entry.exclude and column not in made]
    filtered = set(view.reads).union(*(reads[column] for column in _where(entry, table)))
    told_apart = {plain[column] for column in table.told_apart_by(entry.key)} | {plain[c] for c in entry.key}
    used = filtered.union(told_apart, table.stored.primary_key, *shown)
    _check_used(entry, table.stored, used)
    return _Asked(entry=entry, table=table, view=view, used=frozenset(used), watch=frozenset(filtered | told_apart))


def _check_named(entry: SyncedTable, table: Table) -> None:
    for column in (*entry.key, *entry.exclude):
        if column not in table.names:
            near = difflib.get_close_matches(column, table.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "it has " + ", ".join(table.names)
            raise ConfigError(f"view {entry.name!r} has no column {column!r}", hint=hint)


def _where(entry: SyncedTable, table: Table) -> list[str]:
    """The view's columns that the entry's own filter reads."""
    if not entry.where:
        return []
    from cdc_sync.core import filters

    return [column for column in filters.columns(entry.where, entry.name) if column in table.names]


def _check_used(entry: SyncedTable, base: Table, used: set[str]) -> None:
    made = next((column.name for column in base.columns if column.generated and column.name in used), None)
    if made is not None:
        raise ConfigError(
            f"view {entry.name!r} reads column {made!r} of table {base.name!r}, which is generated",
            hint="have the view work it out from the columns behind it",
        )


def _with_views(entry: SyncedTable, described: Mapping[str, Table], views: Sequence[_Asked]) -> SyncedTable | None:
    """A base's own entry, with what its views need besides; None for one that is there for views that are no more."""
    table = described[entry.name]
    mine = [asked for asked in views if asked.table.stored.called == table.called]
    if not mine:
        return None if entry.only_views else replace(entry, watch=())
    if entry.reference or entry.only_views:
        made = replace(_made(mine[0], views), name=entry.name)
        lost = entry.only_views and not set(entry.key) <= set(table.names)
        return made if lost else replace(made, key=entry.key)
    for asked in mine:
        hidden = sorted(asked.used & set(entry.exclude))
        if hidden:
            raise ConfigError(
                f"view {asked.entry.name!r} reads column {hidden[0]!r}, which table {entry.name!r} excludes",
                hint="exclude it in the view too, or take it out of the table's exclude",
            )
    capture = _capture([entry, *(asked.entry for asked in mine)])
    return replace(entry, watch=_watch(mine), capture=capture)


def _made(asked: _Asked, views: Sequence[_Asked]) -> SyncedTable:
    """An entry for a base that the file does not name, or only as a reference: captured for its views alone."""
    base, plain = asked.table.stored, dict(asked.view.plain)
    mine = [other for other in views if other.table.stored.called == base.called]
    used = frozenset[str]().union(*(other.used for other in mine))
    rest = tuple(column.name for column in base.columns if column.name not in used and not column.generated)
    return SyncedTable(
        name=asked.view.table,
        key=tuple(plain[column] for column in asked.entry.key),
        exclude=rest,
        capture=_capture([other.entry for other in mine]),
        skip_unchanged=bool(rest) and any(other.entry.skip_unchanged for other in mine),
        only_views=True,
        watch=_watch(mine),
    )


def _watch(views: Iterable[_Asked]) -> tuple[str, ...]:
    return tuple(sorted(frozenset[str]().union(*(asked.watch for asked in views))))


def _capture(entries: Iterable[SyncedTable]) -> str:
    """How triggers fire for all of these: by row, where one of them asks for it."""
    return CAPTURES[1] if any(entry.capture == CAPTURES[1] for entry in entries) else CAPTURES[0]
