"""One module per database behind one protocol. A database's name appears only in its own module and SQL folder."""

from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from cdc_sync.databases.base import Chunk, Database, Mode, Session, Target, Tracked
from cdc_sync.errors import ConfigError

__all__ = ["Chunk", "Database", "Mode", "Session", "Target", "Tracked", "connect", "names"]

_MODULES = {"sqlite": "cdc_sync.databases.sqlite", "postgresql": "cdc_sync.databases.postgresql"}


def names() -> list[str]:
    """The databases that are known, as URLs name them."""
    return sorted(_MODULES)


def connect(url: str, folder: Path = Path()) -> Database:
    """The database behind a SQLAlchemy URL; a relative file path in it starts at ``folder``.

    Nothing is connected to yet. Raises ConfigError for a URL of no use.
    """
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "a database URL cannot be read", hint="write sqlite:///file.db or postgresql://user@host/database"
        ) from None
    kind = parsed.get_backend_name()
    if kind not in _MODULES:
        raise ConfigError(f"no database is known by the name {kind!r}", hint="known are " + ", ".join(names()))
    opened: Database = import_module(_MODULES[kind]).open_url(parsed, folder)
    return opened
