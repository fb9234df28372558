"""The DBA's file as frozen, validated data classes; the only reader of TOML and of the environment."""

import difflib
import os
import re
import tomllib
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cdc_sync.core.conflicts import CLOCK_AHEAD, CONFLICTS, MERGES, Policies, Policy
from cdc_sync.core.letters import DEFERRED_LIMIT
from cdc_sync.core.plan import CAPTURES, OPERATIONS, SyncedTable
from cdc_sync.core.renames import NONE, Rename, Renames, same_target
from cdc_sync.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_URL = re.compile(r"\w+(\+\w+)?://")
_TABLE = ("name", "key", "exclude", "except", "where", "operations", "capture", "skip_unchanged", "reference")
_POLICY = ("conflict", "merge")
_RENAME = ("target", "columns")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The database that takes part: its name everywhere, and its URL."""

    name: str
    database: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where batches go."""

    name: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    path: Path
    node: Node
    tables: tuple[SyncedTable, ...]
    destinations: tuple[Destination, ...] = ()
    policies: Policies = field(default_factory=Policies)
    deferred_limit: float = DEFERRED_LIMIT
    """By the tables' names at the destinations."""
    renames: Renames = NONE

    @property
    def key_path(self) -> Path:
        """The device key: outside the database, so that a copied database is not a copied node."""
        return self.folder / f"{self.node.name}.key"

    @property
    def folder(self) -> Path:
        """Relative paths in the file start here."""
        return self.path.parent


def load(path: Path) -> Config:
    """Read and check a file. Raises ConfigError that names the place and what to type there."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {str(path)!r}", hint="name one with --config, or write cdc-sync.toml here"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}", hint="it must be a text file in UTF-8 that you may read"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="correct that line (https://toml.io)") from None
    return _Reader(path, document).config()


class _Reader:
    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self.path = path.resolve()
        self.document = document

    def config(self) -> Config:
        _known(self.document, ("node", "tables", "destinations"), "the file")
        node = self._node(_section(self.document, "node"))
        entries = _entries(self.document, "tables")
        tables = tuple(self._table(entry, i) for i, entry in enumerate(entries, 1))
        renames = _renames(tables, entries)
        policies = Policies(
            tables=tuple(
                (replace(table, name=renames.table(table.name)), _policy(entry, table.name))
                for table, entry in zip(tables, entries, strict=True)
            ),
            clock_ahead=_seconds(_section(self.document, "node"), "clock_ahead", "[node]", CLOCK_AHEAD),
        )
        limit = _seconds(_section(self.document, "node"), "deferred_limit", "[node]", DEFERRED_LIMIT)
        destinations = tuple(
            self._destination(entry, i) for i, entry in enumerate(_entries(self.document, "destinations"), 1)
        )
        _unique([table.name for table in tables], "[[tables]]")
        _unique([destination.name for destination in destinations], "[[destinations]]")
        return Config(
            path=self.path,
            node=node,
            tables=tables,
            destinations=destinations,
            policies=policies,
            renames=renames,
            deferred_limit=limit,
        )

    def _node(self, entry: Mapping[str, Any]) -> Node:
        _known(entry, ("name", "database", "clock_ahead", "deferred_limit"), "[node]")
        name = _string(entry, "name", "[node]")
        if not _NODE_NAME.fullmatch(name):
            raise ConfigError(
                f"[node] name {name!r} cannot be used",
                hint="use letters, digits, dots, dashes and underscores, 63 at most",
            )
        return Node(name=name, database=self._url(_string(entry, "database", "[node]"), "[node] database"))

    def _table(self, entry: Mapping[str, Any], number: int) -> SyncedTable:
        place = f"[[tables]] number {number}"
        _known(entry, (*_TABLE, *_POLICY, *_RENAME), place)
        name = _string(entry, "name", place)
        place = f"table {name!r}"
        table = SyncedTable(
            name=name,
            key=_strings(entry, "key", place),
            exclude=_strings(entry, "exclude", place),
            excepted=_strings(entry, "except", place, of="table"),
            where=_string(entry, "where", place) if "where" in entry else "",
            operations=_choices(entry, "operations", place, OPERATIONS),
            capture=_choice(entry, "capture", place, CAPTURES),
            skip_unchanged=_flag(entry, "skip_unchanged", place),
            reference=_flag(entry, "reference", place),
        )
        _check_table(table, entry)
        return table

    def _destination(self, entry: Mapping[str, Any], number: int) -> Destination:
        place = f"[[destinations]] number {number}"
        _known(entry, ("name", "url"), place)
        name = _string(entry, "name", place)
        return Destination(name=name, url=self._url(_string(entry, "url", place), f"destination {name!r}"))

    def _url(self, url: str, place: str) -> str:
        """Fill in ``${VARIABLE}``."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in os.environ:
                raise ConfigError(f"{place}: the environment has no variable {match[1]}", hint=f"export {match[1]}=...")
            value = os.environ[match[1]]
            return urllib.parse.quote(value, safe="") if _in_login(url, match) else value

        filled = _VARIABLE.sub(value, url)
        if not _URL.match(filled):
            raise ConfigError(
                f"{place}: the URL cannot be read", hint="write sqlite:///file.db or database://user@host/name"
            )
        return filled


def _in_login(url: str, match: re.Match[str]) -> bool:
    """Whether the variable stands for a user or a password: there, signs such as @ and / mean nothing."""
    before, after = url[: match.start()], url[match.end() :]
    return after.startswith("@") or (before.endswith("//") and after.startswith(":"))


def _known(entry: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    for name in entry:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(names)
            raise ConfigError(f"{place} has an unknown key {name!r}", hint=hint)


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict):
        raise ConfigError(
            f"the file has no section [{name}]", hint=f'add [{name}] with name = "..." and database = "..."'
        )
    return section


def _entries(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{name!r} is not a list of tables", hint=f"begin each one with [[{name}]]")
    return entries


def _string(entry: Mapping[str, Any], name: str, place: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{place} has no {name}", hint=f'add {name} = "..."')
    return value


def _strings(entry: Mapping[str, Any], name: str, place: str, *, of: str = "column") -> tuple[str, ...]:
    value = entry.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{place}: {name} is not a list of {of} names", hint=f'write {name} = ["{of}", ...]')
    if len(set(value)) < len(value):
        raise ConfigError(f"{place}: {name} names a {of} twice", hint="take one of them out")
    return tuple(value)


def _choices(entry: Mapping[str, Any], name: str, place: str, known: Sequence[str]) -> tuple[str, ...]:
    chosen = _strings(entry, name, place, of=known[0]) if name in entry else tuple(known)
    for item in chosen:
        if item not in known:
            raise ConfigError(f"{place}: {name} has an unknown {item!r}", hint="known are " + ", ".join(known))
    if not chosen:
        raise ConfigError(f"{place}: {name} is empty", hint="known are " + ", ".join(known))
    return tuple(item for item in known if item in chosen)


def _choice(entry: Mapping[str, Any], name: str, place: str, known: Sequence[str]) -> str:
    value = entry.get(name, known[0])
    if value not in known:
        raise ConfigError(f"{place}: {name} is not one of {', '.join(known)}", hint=f'write {name} = "{known[0]}"')
    return str(value)


def _policy(entry: Mapping[str, Any], name: str) -> Policy:
    place = f"table {name!r}"
    return Policy(conflict=_choice(entry, "conflict", place, CONFLICTS), merge=_choice(entry, "merge", place, MERGES))


def _renames(tables: Sequence[SyncedTable], entries: Sequence[Mapping[str, Any]]) -> Renames:
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
    place = f"table {table.name!r}"
    for name in _RENAME:
        if name in entry and table.is_pattern:
            raise ConfigError(
                f"{place} stands for many tables, but has {name}", hint="give the table that it is about its own entry"
            )
    columns = entry.get("columns", {})
    if not isinstance(columns, dict) or not all(isinstance(there, str) and there for there in columns.values()):
        raise ConfigError(f"{place}: columns names no columns", hint='write columns = { here = "there", ... }')
    twice = next((there for there in columns.values() if list(columns.values()).count(there) > 1), None)
    if twice is not None:
        raise ConfigError(f"{place}: columns calls two columns {twice!r}", hint="give one of them another name")
    return Rename(target=_string(entry, "target", place) if "target" in entry else "", columns=columns)


def _seconds(entry: Mapping[str, Any], name: str, place: str, default: float) -> float:
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ConfigError(f"{place}: {name} is no number of seconds", hint=f"write {name} = {default:.0f}")
    return float(value)


def _flag(entry: Mapping[str, Any], name: str, place: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{place}: {name} is neither true nor false", hint=f"write {name} = true")
    return value


def _check_table(table: SyncedTable, entry: Mapping[str, Any]) -> None:
    """What one entry may not say at the same time."""
    name = table.name
    if not table.key:
        raise ConfigError(f"table {name!r} has no key", hint='add its natural key: key = ["column", ...]')
    both = sorted(set(table.key) & set(table.exclude))
    if both:
        raise ConfigError(f"table {name!r} excludes {both[0]!r}, which is part of its key", hint="take it out of one")
    if table.excepted and not table.is_pattern:
        raise ConfigError(
            f"table {name!r} has exceptions, but names one table only", hint='use a wildcard, such as name = "clinic_*"'
        )
    idle = sorted(set(entry) - {"name", "key", "except", "reference", *_RENAME})
    if table.reference and idle:
        raise ConfigError(
            f"table {name!r} is a reference, which is not captured, but says {idle[0]!r}", hint="take one of them out"
        )


def _unique(names: Sequence[str], place: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{place} names {twice!r} twice", hint="take one of them out")
