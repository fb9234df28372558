"""What the DBA's file says of tables and of views."""

from collections.abc import Mapping, Sequence
from typing import Any

from cdc_sync.config.entries import choice, choices, flag, known, string, strings
from cdc_sync.core.conflicts import CONFLICTS, MERGES, TRIGGERS, Policy
from cdc_sync.core.plan import CAPTURES, OPERATIONS, SyncedTable
from cdc_sync.core.renames import Rename, Renames, same_target
from cdc_sync.errors import ConfigError

_TABLE = ("name", "key", "exclude", "except", "where", "operations", "capture", "skip_unchanged", "reference")
_POLICY = ("conflict", "merge", "triggers")
_RENAME = ("target", "columns")


def table(entry: Mapping[str, Any], number: int, *, of: str = "table") -> SyncedTable:
    """The ``number``-th entry of [[tables]] or [[views]]."""
    place = f"[[{of}s]] number {number}"
    known(entry, (*_TABLE, *_POLICY, *_RENAME), place)
    name = string(entry, "name", place)
    place = f"{of} {name!r}"
    found = SyncedTable(
        name=name,
        key=strings(entry, "key", place),
        exclude=strings(entry, "exclude", place),
        excepted=strings(entry, "except", place, of=of),
        where=string(entry, "where", place) if "where" in entry else "",
        operations=choices(entry, "operations", place, OPERATIONS),
        capture=choice(entry, "capture", place, CAPTURES),
        skip_unchanged=flag(entry, "skip_unchanged", place, default=of == "view"),
        reference=flag(entry, "reference", place),
        view=of == "view",
    )
    _check_table(found, entry)
    return found


def policy(entry: Mapping[str, Any], table: SyncedTable) -> Policy:
    place = f"{table.of} {table.name!r}"
    return Policy(
        conflict=choice(entry, "conflict", place, CONFLICTS),
        merge=choice(entry, "merge", place, MERGES),
        triggers=choice(entry, "triggers", place, TRIGGERS),
    )


def renames(tables: Sequence[SyncedTable], entries: Sequence[Mapping[str, Any]]) -> Renames:
    """What destinations call tables and columns otherwise. Raises ConfigError where that cannot be."""
    found: dict[str, Rename] = {}
    meant: dict[str, str] = {}
    for table, entry in zip(tables, entries, strict=True):
        rename = _rename(table, entry)
        if rename.target or rename.columns:
            found[table.name] = rename
        other = meant.setdefault(rename.target or table.name, table.name)
        if other != table.name:
            raise same_target(rename.target or table.name, other, table.name)
    return Renames(found)


def _rename(table: SyncedTable, entry: Mapping[str, Any]) -> Rename:
    place = f"{table.of} {table.name!r}"
    for name in _RENAME:
        if name in entry and table.is_pattern:
            raise ConfigError(
                f"{place} stands for many {table.of}s, but has {name}",
                hint=f"give the {table.of} that it is about its own entry",
            )
    columns = entry.get("columns", {})
    if not isinstance(columns, dict) or not all(isinstance(there, str) and there for there in columns.values()):
        raise ConfigError(f"{place}: columns names no columns", hint='write columns = { here = "there", ... }')
    twice = next((there for there in columns.values() if list(columns.values()).count(there) > 1), None)
    if twice is not None:
        raise ConfigError(f"{place}: columns calls two columns {twice!r}", hint="give one of them another name")
    return Rename(target=string(entry, "target", place) if "target" in entry else "", columns=columns)


def _check_table(table: SyncedTable, entry: Mapping[str, Any]) -> None:
    """What one entry may not say at the same time."""
    place = f"{table.of} {table.name!r}"
    if not table.key and not table.view:
        raise ConfigError(f"{place} has no key", hint='add its natural key: key = ["column", ...]')
    both = sorted(set(table.key) & set(table.exclude))
    if both:
        raise ConfigError(f"{place} excludes {both[0]!r}, which is part of its key", hint="take it out of one")
    if table.excepted and not table.is_pattern:
        raise ConfigError(
            f"{place} has exceptions, but names one {table.of} only", hint='use a wildcard, such as name = "clinic_*"'
        )
    if table.view and table.reference:
        raise ConfigError(f"{place} is no reference: a foreign key leads to a table", hint="say it of the table")
    idle = sorted(set(entry) - {"name", "key", "except", "reference", *_RENAME})
    if table.reference and idle:
        raise ConfigError(
            f"{place} is a reference, which is not captured, but says {idle[0]!r}", hint="take one of them out"
        )
