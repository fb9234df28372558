"""What another node says of its views becomes SQL here, so it is looked at as what a stranger wrote.

An expression passes that can be nothing but one: it is closed in itself, holds no query and no comment, and calls
only functions that work on the values which they are given. It is told from its words, not from a parser's tree: what
is run is the text, and a parser may read it otherwise than the database.
"""

import re
from collections.abc import Iterator

from cdc_sync.core import views
from cdc_sync.core.change import View

_SIGN = re.compile(r"[()\[\]+\-*/%|&<>=!~:,.]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STATEMENTS = _words("""
    alter analyze attach begin call commit copy create delete detach do drop execute grant insert into listen lock
    merge notify prepare refresh reindex reset revoke rollback select set show table truncate update vacuum values with
""")
"""Words of statements and queries."""

_BEFORE_PARENTHESES = _words("""
    abs all and any array as between bit both bpchar btrim case cast ceil ceiling char char_length character coalesce
    collate concat date datetime dec decimal distinct double else end escape exp extract first float floor format from
    glob greatest hex if ifnull iif in initcap instr int integer interval is isnull julianday last leading least left
    length like ln log lower lpad ltrim max min mod not notnull null nullif numeric octet_length on or overlay position
    pow power precision printf quote radians real repeat replace reverse right round row rpad rtrim sign similar some
    split_part sqrt strftime strpos substr substring symmetric text then time timestamp timestamptz timetz to trailing
    trim trunc typeof unicode unixepoch upper varchar varying when where without zone
""")
"""Words that may stand before a parenthesis: of the language, of types, and functions of their arguments alone."""


def odd(view: View) -> str | None:
    """The first of a view's expressions that may be something else; None where all of them are what they seem."""
    texts = [text for _, text in view.expressions] + ([view.condition] if view.condition else [])
    return next((text for text in texts if not _is_expression(text)), None)


def _is_expression(text: str) -> bool:
    if "--" in text or "/*" in text or "\\" in text or "\0" in text:
        return False
    found = [(piece, is_column) for piece, is_column in views.pieces(text) if not piece.isspace()]
    return _is_closed(piece for piece, _ in found) and all(_may_stand(found, i) for i in range(len(found)))


def _is_closed(found: Iterator[str]) -> bool:
    depth = 0
    for piece in found:
        depth += (piece in "([") - (piece in ")]")
        if depth < 0:
            return False
    return depth == 0


def _may_stand(found: list[tuple[str, bool]], i: int) -> bool:
    piece, is_column = found[i]
    before = found[i - 1][0].lower() if i else ""
    after = found[i + 1][0] if i + 1 < len(found) else ""
    if is_column or piece.startswith("'"):
        return len(piece) > 1
    if piece.startswith('"'):
        return before == "collate" and len(piece) > 1 and after not in (".", "(")
    if piece == ":":
        return ":" in (before, after)
    if piece[0].isalnum() or piece[0] == "_":
        word = piece.lower()
        return word not in _STATEMENTS and (after != "(" or word in _BEFORE_PARENTHESES or word.isdigit())
    return _SIGN.fullmatch(piece) is not None
