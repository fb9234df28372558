"""Entries of the DBA's file, value by value: each says what is wrong with it, and what to type instead."""

import difflib
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdc_sync.errors import ConfigError

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_URL = re.compile(r"\w+(\+\w+)?://")


def known(entry: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    for name in entry:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(names)
            raise ConfigError(f"{place} has an unknown key {name!r}", hint=hint)


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, dict):
        raise ConfigError(
            f"the file has no section [{name}]", hint=f'add [{name}] with name = "..." and database = "..."'
        )
    return found


def entries(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ConfigError(f"{name!r} is not a list of tables", hint=f"begin each one with [[{name}]]")
    return found


def string(entry: Mapping[str, Any], name: str, place: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{place} has no {name}", hint=f'add {name} = "..."')
    return value


def strings(entry: Mapping[str, Any], name: str, place: str, *, of: str = "column") -> tuple[str, ...]:
    value = entry.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{place}: {name} is not a list of {of} names", hint=f'write {name} = ["{of}", ...]')
    if len(set(value)) < len(value):
        raise ConfigError(f"{place}: {name} names a {of} twice", hint="take one of them out")
    return tuple(value)


def choices(entry: Mapping[str, Any], name: str, place: str, known: Sequence[str]) -> tuple[str, ...]:
    chosen = strings(entry, name, place, of=known[0]) if name in entry else tuple(known)
    for item in chosen:
        if item not in known:
            raise ConfigError(f"{place}: {name} has an unknown {item!r}", hint="known are " + ", ".join(known))
    if not chosen:
        raise ConfigError(f"{place}: {name} is empty", hint="known are " + ", ".join(known))
    return tuple(item for item in known if item in chosen)


def choice(entry: Mapping[str, Any], name: str, place: str, known: Sequence[str]) -> str:
    value = entry.get(name, known[0])
    if value not in known:
        raise ConfigError(f"{place}: {name} is not one of {', '.join(known)}", hint=f'write {name} = "{known[0]}"')
    return str(value)


def seconds(entry: Mapping[str, Any], name: str, place: str, default: float) -> float:
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ConfigError(f"{place}: {name} is no number of seconds", hint=f"write {name} = {default:.0f}")
    return float(value)


def whole(entry: Mapping[str, Any], name: str, place: str, default: int) -> int:
    """A number of things: 1 or more."""
    value = entry.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{place}: {name} is not a whole number from 1", hint=f"write {name} = {default}")
    return value


def file(entry: Mapping[str, Any], name: str, place: str, folder: Path) -> Path | None:
    """A file's path, which starts at the configuration's folder; None where none is named."""
    return folder / string(entry, name, place) if name in entry else None


def flag(entry: Mapping[str, Any], name: str, place: str, *, default: bool = False) -> bool:
    value = entry.get(name, default)
    if not isinstance(value, bool):
        raise ConfigError(f"{place}: {name} is neither true nor false", hint=f"write {name} = true")
    return value


def unique(names: Sequence[str], place: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{place} names {twice!r} twice", hint="take one of them out")


def url(text: str, place: str) -> str:
    """A URL with its ``${VARIABLE}`` filled in from the environment."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{place}: the environment has no variable {match[1]}", hint=f"export {match[1]}=...")
        value = os.environ[match[1]]
        return urllib.parse.quote(value, safe="") if _in_login(text, match) else value

    filled = _VARIABLE.sub(value, text)
    if not _URL.match(filled):
        raise ConfigError(
            f"{place}: the URL cannot be read", hint="write sqlite:///file.db or database://user@host/name"
        )
    return filled


def _in_login(url: str, match: re.Match[str]) -> bool:
    """Whether the variable stands for a user or a password: there, signs such as @ and / mean nothing."""
    before, after = url[: match.start()], url[match.end() :]
    return after.startswith("@") or (before.endswith("//") and after.startswith(":"))
