"""The DBA's file as frozen, validated data classes; the only reader of TOML and of the environment."""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdc_sync.config import entries, roads, tables
from cdc_sync.config.model import CARRIED, Config, Destination, Node, Serve, Source
from cdc_sync.core import device
from cdc_sync.core.conflicts import CLOCK_AHEAD, Policies
from cdc_sync.core.letters import DEFERRED_LIMIT
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.renames import Renames
from cdc_sync.errors import ConfigError

__all__ = ["CARRIED", "Config", "Destination", "Node", "Serve", "Source", "load"]

_SECTIONS = ("node", "tables", "views", "destinations", "sources", "serve")
_NODE = ("name", "database", "relay", "apply", "clock_ahead", "deferred_limit")


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
    return _config(path.resolve(), document)


def _config(path: Path, document: Mapping[str, Any]) -> Config:
    entries.known(document, _SECTIONS, "the file")
    about = entries.section(document, "node")
    node = _node(about)
    listed = [*entries.entries(document, "tables"), *entries.entries(document, "views")]
    synced = _synced(document)
    entries.unique([table.name for table in synced], "the file")
    renames = tables.renames(synced, listed)
    return Config(
        path=path,
        node=node,
        tables=synced,
        destinations=_destinations(document, path.parent),
        sources=_sources(document, path.parent),
        serve=roads.serve(
            entries.section(document, "serve") if "serve" in document else {}, path.parent, apply=node.apply
        ),
        policies=_policies(about, synced, listed, renames),
        renames=renames,
        deferred_limit=entries.seconds(about, "deferred_limit", "[node]", DEFERRED_LIMIT),
    )


def _synced(document: Mapping[str, Any]) -> tuple[SyncedTable, ...]:
    """What is synced: tables, then views."""
    return tuple(
        tables.table(entry, i, of=of)
        for of in ("table", "view")
        for i, entry in enumerate(entries.entries(document, f"{of}s"), 1)
    )


def _node(entry: Mapping[str, Any]) -> Node:
    entries.known(entry, _NODE, "[node]")
    name = entries.string(entry, "name", "[node]")
    if not device.is_name(name):
        raise ConfigError(
            f"[node] name {name!r} cannot be used",
            hint="use letters, digits, dots, dashes and underscores, 63 at most",
        )
    relay = entries.flag(entry, "relay", "[node]")
    if "apply" in entry and not relay:
        raise ConfigError("[node] says apply, which is said of relays", hint="say relay = true too, or take it out")
    database = entries.url(entries.string(entry, "database", "[node]"), "[node] database")
    return Node(
        name=name, database=database, relay=relay, apply=entries.flag(entry, "apply", "[node]", default=not relay)
    )


def _destinations(document: Mapping[str, Any], folder: Path) -> tuple[Destination, ...]:
    listed = entries.entries(document, "destinations")
    found = tuple(roads.destination(entry, i, folder) for i, entry in enumerate(listed, 1))
    entries.unique([destination.name for destination in found], "[[destinations]]")
    if found and not any(destination.final for destination in found):
        raise ConfigError(
            "no destination is final: batches would be kept for good",
            hint="add [[destinations]] with the name of the server where they are to arrive; it needs no url",
        )
    return found


def _sources(document: Mapping[str, Any], folder: Path) -> tuple[Source, ...]:
    found = tuple(roads.source(entry, i, folder) for i, entry in enumerate(entries.entries(document, "sources"), 1))
    entries.unique([source.name for source in found], "[[sources]]")
    return found


def _policies(
    about: Mapping[str, Any], synced: tuple[SyncedTable, ...], listed: list[Mapping[str, Any]], renames: Renames
) -> Policies:
    return Policies(
        tables=tuple(
            (replace(table, name=renames.table(table.name)), tables.policy(entry, table))
            for table, entry in zip(synced, listed, strict=True)
        ),
        clock_ahead=entries.seconds(about, "clock_ahead", "[node]", CLOCK_AHEAD),
    )
