"""Views as SQLite describes them."""

import json
import re
from collections.abc import Iterable

from cdc_sync.core import views
from cdc_sync.core.change import Column, Kind, Table, View
from cdc_sync.databases import sqlite_tables as tables
from cdc_sync.databases.base import Session
from cdc_sync.errors import ConfigError, DatabaseError

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_EVENT = re.compile(r"\binstead\s+of\s+(insert|update|delete)\b", re.IGNORECASE)
_CAST = re.compile(r"cast\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_LITERALS = (
    (re.compile(r"'(?:[^']|'')*'"), Kind.TEXT),
    (re.compile(r"[xX]'[^']*'"), Kind.BYTES),
    (re.compile(r"[-+]?(\d+|0[xX][0-9a-fA-F]+)"), Kind.INTEGER),
    (re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"), Kind.FLOAT),
)


def described(session: Session, name: str) -> Table | None:
    """The view of this name with what it shows, if there is one."""
    for own, definition, triggers in session.run("view", name=name):
        try:
            columns = session.run("views/columns", name=own)
        except DatabaseError as error:
            if error.temporary:
                raise
            refusal = f"view {own!r} is no proxy of one table: SQLite itself cannot read it"
            return Table(name=own, schema=None, columns=(), view=View(refusal=refusal))
        view = _view(session, own, definition, [column for column, _ in columns], _events(json.loads(triggers)))
        texts = dict(view.expressions)
        found = [_column(column, declared, texts.get(column, "")) for column, declared in columns]
        return views.shown(view, found, own, None)
    return None


def _events(triggers: Iterable[str]) -> set[str]:
    """What triggers stand in for."""
    found = (_EVENT.search(_COMMENT.sub(" ", text)) for text in triggers)
    return {match[1].lower() for match in found if match}


def _view(session: Session, name: str, definition: str, columns: list[str], events: set[str]) -> View:
    from cdc_sync.core.views import definitions, viewing  # sqlglot costs a fifth of a second; few files have a view

    facts = viewing.Facts(columns=tuple(columns), fired=bool(events), writable=len(events) == 3)
    try:
        read = definitions.parse(definition, "sqlite")
        if read.schema.lower() not in ("", "main"):
            raise definitions.Unfit(f"it selects from {read.source!r} of another database, {read.schema!r}")
        return viewing.proxy(read, facts, _source(session, read.source), read.source)
    except definitions.Unfit as why:
        return viewing.refused(name, str(why), facts)


def _source(session: Session, name: str) -> Table:
    from cdc_sync.core.views import definitions

    try:
        found = session.database.describe(session, [name]).get(name)
    except ConfigError:
        raise definitions.Unfit(f"it selects from {name!r}, a virtual table") from None
    if found is None or name.lower().startswith(("sqlite_", "cdc_sync_")):
        raise definitions.Unfit(f"it selects from {name!r}, which is no table that can be synced")
    return found


def _column(name: str, declared: str, text: str) -> Column:
    """A column of a view, which is typed by its cast or its literal where it is none of the table's."""
    if text:
        declared = _cast(text)
    if text and not declared:
        kind = next((kind for form, kind in _LITERALS if form.fullmatch(text)), Kind.OTHER)
        return Column(name=name, kind=kind)
    return Column(name=name, kind=tables.kind_of(declared), declared=declared)


def _cast(text: str) -> str:
    """The type that the whole expression is cast to, or nothing."""
    match = _CAST.fullmatch(text)
    inner = match[1].strip() if match else ""
    if views.bare(f"({inner})") != inner:
        return ""
    words = [piece for piece, _ in views.pieces(inner)]
    last = max((i for i, word in enumerate(words) if word.lower() == "as"), default=len(words))
    return "".join(words[last + 1 :]).strip()
