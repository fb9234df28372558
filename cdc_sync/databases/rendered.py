"""Generated statements as text, kept: rendering one costs a millisecond, and every round generates the same ones."""

from weakref import WeakKeyDictionary

import sqlalchemy as sa

KEPT = 1_000
"""Statements at most, before keeping begins anew: those with many constants are not made twice."""

_texts: dict[object, str] = {}
_own: WeakKeyDictionary[sa.ClauseElement, str] = WeakKeyDictionary()
"""Of statements that are kept themselves: each is rendered for one database only."""


def text(statement: sa.ClauseElement, dialect: sa.Dialect) -> str:
    """A statement as text, its constants in it literally; parameters (limits) are part of what it is known by."""
    text = _own.get(statement)
    if text is None:
        text = _own[statement] = _known(statement, dialect)
    return text


def _known(statement: sa.ClauseElement, dialect: sa.Dialect) -> str:
    key = statement._generate_cache_key()  # noqa: SLF001  what SQLAlchemy's own statement cache knows it by
    if key is None:
        return _render(statement, dialect)
    known_by = (dialect.name, key.key, tuple(parameter.value for parameter in key.bindparams))
    if known_by not in _texts:
        if len(_texts) >= KEPT:
            _texts.clear()
        _texts[known_by] = _render(statement, dialect)
    return _texts[known_by]


def _render(statement: sa.ClauseElement, dialect: sa.Dialect) -> str:
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
