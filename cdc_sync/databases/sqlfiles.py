"""The ``.sql`` files: found, filled and quoted here and nowhere else.

Holes use psql's own notation: ``:"name"`` takes an identifier and quotes it, ``:'name'`` takes a string and makes a
constant of it, ``:{name}`` takes a piece of SQL that was quoted already. ``:name`` stays what it is to SQLAlchemy, a
bind parameter; ``::type`` stays a cast.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

_HOLE = re.compile(r""":"(\w+)"|:'(\w+)'|:\{(\w+)\}""")


def quote(*names: str | None) -> str:
    """An identifier, or a dotted path of them, quoted by the SQL standard's rule, which every database here follows."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names if name is not None)


def path(name: str) -> str:
    """A table as the DBA's file writes it, perhaps with its schema, quoted."""
    return quote(*name.split("."))


def literal(text: str) -> str:
    """A string constant, for the few statements that take no bind parameters (comments, trigger bodies)."""
    return "'" + text.replace("'", "''") + "'"


def columns(names: Iterable[str], prefix: str = "") -> str:
    """A comma-separated list of quoted columns, each with the prefix (``new.``) in front."""
    return ", ".join(prefix + quote(name) for name in names)


@cache
def read(database: str, name: str) -> str:
    """The text of ``sql/<database>/<name>.sql``, from the wheel or, in a checkout, from beside the package."""
    packaged = files("cdc_sync") / "sql" / database / f"{name}.sql"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / "sql" / database / f"{name}.sql").read_text(encoding="utf-8")


def fill(text: str, holes: Mapping[str, str]) -> str:
    """Fill the holes. Raises LookupError for a hole that nothing fills, or a value that no hole uses."""
    unused = set(holes) - _names(text)
    if unused:
        raise LookupError(f"the statement has no hole named {sorted(unused)[0]!r}")
    return _HOLE.sub(lambda match: _value(match, holes), text)


def _name(match: re.Match[str]) -> str:
    return match[1] or match[2] or match[3]


def _names(text: str) -> set[str]:
    return {_name(match) for match in _HOLE.finditer(text)}


def _value(match: re.Match[str], holes: Mapping[str, str]) -> str:
    value = holes[_name(match)]
    return value if match[3] else quote(value) if match[1] else literal(value)


def fill_some(text: str, holes: Mapping[str, str]) -> str:
    """``fill`` with those of the holes that the statement has."""
    return fill(text, needed(text, holes))


def needed(text: str, holes: Mapping[str, str]) -> dict[str, str]:
    """Those of the holes that the statement has."""
    return {name: value for name, value in holes.items() if name in _names(text)}


def fill_first(text: str, holes: Mapping[str, str]) -> str:
    """Fill the holes that have a value here, and leave the others open."""
    return _HOLE.sub(lambda match: _value(match, holes) if _name(match) in holes else match[0], text)
