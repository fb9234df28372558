"""An expression of a view in another database's SQL, where it means the same there; and whether two mean the same.

sqlglot writes it. It says nothing of what two databases do otherwise under one name (``like`` leaves the case of
letters out of account in SQLite, a cast to ``integer`` rounds in PostgreSQL): only what is listed here is carried over,
and what is known to differ is written otherwise, or refused. ``upper`` and ``lower`` are carried over, although those
of SQLite change the letters A to Z alone.
"""

import re
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cdc_sync.core import views
from cdc_sync.core.change import Kind
from cdc_sync.core.filters import DIALECTS, written

Kinds = Mapping[str, Kind]
"""The base's columns."""

NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

_NUMBERS = (Kind.INTEGER, Kind.NUMERIC, Kind.FLOAT)
_WHOLE = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?")


class Untranslatable(Exception):
    """What cannot be said in another database's SQL; its text is the expression, in its own."""


def translate(text: str, kind: str, to: str, kinds: Kinds, column: Callable[[str], str], *, condition: bool) -> str:
    """An expression, or a condition, for a database of another kind, ``column`` giving the quoted text of a column.

    Between databases of one kind it is the same text over those columns. Raises Untranslatable.
    """
    if kind == to or views.plain(text) is not None:
        return views.render(text, kind, column)
    tree = _parsed(text, kind)
    try:
        carried = _Carried(kind, to, kinds)
        made = carried.carry(tree)
        return written(carried.truth(made) if condition else made, to, column)
    except SqlglotError:
        raise Untranslatable(text) from None


def _parsed(text: str, kind: str) -> exp.Expr:
    try:
        tree = sqlglot.parse_one(f"select {text} as x", dialect=DIALECTS[kind])
        found: exp.Expr = tree.expressions[0].this
    except (SqlglotError, AttributeError, IndexError):
        raise Untranslatable(text) from None
    return found


_CARRIED = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.DataType, exp.DataTypeParam),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.Is),
    *(exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like, exp.ILike, exp.Glob, exp.Case, exp.If, exp.Coalesce, exp.Nullif),
    *(exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Substring, exp.Replace, exp.Abs, exp.Round),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.DPipe, exp.Cast, exp.Collate),
    *(exp.Any, exp.All, exp.Array),
)
_LIKE_THEIR_FIRST = (exp.Collate, exp.Neg, exp.Abs, exp.Coalesce, exp.Nullif, exp.Add, exp.Sub, exp.Mul, exp.Div)
"""Their values are of the kind of their first part."""

_ORDERS = (exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)
_EQUALS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)


class _Carried:
    """One expression on its way; every part of it is carried over after what it is made of."""

    def __init__(self, kind: str, to: str, kinds: Kinds) -> None:
        self.kind, self.to, self.kinds = kind, to, kinds

    def carry(self, node: exp.Expr) -> exp.Expr:
        node = _in(node) or node
        if type(node) not in _CARRIED or (isinstance(node, exp.Collate) and not _by_bytes(node)):
            self.refuse(node)
        for child in [node.this] if isinstance(node, exp.Collate) else list(node.iter_expressions()):
            made = self.carry(child)
            if made is not child:
                child.replace(made)
        if isinstance(node, (exp.And, exp.Or, exp.Not)):
            for child in list(node.iter_expressions()):
                child.replace(self.truth(child))
        ways: tuple[tuple[tuple[type, ...], Callable[[exp.Expr], exp.Expr]], ...] = (
            ((exp.Cast,), self._cast),
            ((*_EQUALS, exp.In), self._equality),
            (_ORDERS, self._order),
            ((exp.Like, exp.ILike, exp.Glob), self._pattern),
            ((exp.DPipe,), self._joined),
            ((exp.If,), self._choice),
            ((exp.Is, exp.Trim, exp.Length, exp.Substring, exp.Round, exp.Mod), self._call),
        )
        return next((way(node) for types, way in ways if isinstance(node, types)), node)

    def refuse(self, node: exp.Expr) -> "exp.Expr":
        shown = node.copy()
        for child in list(shown.iter_expressions()):
            child.replace(_bare(child, self))
        raise Untranslatable(shown.sql(dialect=DIALECTS[self.kind]))

    def kind_of(self, node: exp.Expr | None) -> Kind | None:
        """What an expression's values are, as far as that is plain."""
        node = node.unnest() if node is not None else None
        if isinstance(node, exp.Column):
            return self.kinds.get(node.name)
        if isinstance(node, exp.Literal):
            return Kind.TEXT if node.is_string else Kind.NUMERIC if "." in node.name else Kind.INTEGER
        if isinstance(node, exp.Cast):
            return _cast_kind(node)
        if isinstance(node, (exp.DPipe, exp.Lower, exp.Upper, exp.Trim, exp.Substring, exp.Replace)):
            return Kind.TEXT
        if isinstance(node, _LIKE_THEIR_FIRST):
            return self.kind_of(node.this)
        if isinstance(node, (exp.Length, exp.Mod)):
            return Kind.INTEGER
        return Kind.NUMERIC if isinstance(node, exp.Round) else None

    def truth(self, node: exp.Expr) -> exp.Expr:
        """A condition; in SQLite, every number but 0 is true."""
        found = self.kind_of(node)
        if self.to == "sqlite" or found not in _NUMBERS:
            return node
        return exp.paren(exp.NEQ(this=node.copy(), expression=exp.Literal.number(0)))

    def _choice(self, node: exp.Expr) -> exp.Expr:
        if not (isinstance(node.parent, exp.Case) and node.parent.this):
            node.set("this", self.truth(node.this))
        return node

    def _cast(self, node: exp.Expr) -> exp.Expr:
        """PostgreSQL writes casts that it needs itself; a real one must do the same to all values."""
        value: exp.Expr = node.this.unnest()
        found, was = _cast_kind(node), self.kind_of(value)
        if isinstance(value, exp.Null):
            return value
        sized = bool(node.args["to"].expressions)
        if self.kind == "postgresql" and isinstance(value, exp.Literal):
            if found in (Kind.TEXT, Kind.DATE, Kind.UUID):
                return value
            if found in _NUMBERS and (_WHOLE if found is Kind.INTEGER else _NUMBER).fullmatch(value.name):
                return exp.Literal.number(value.name)
            return self.refuse(node)
        if found is was and not sized:
            return value
        if found in _NUMBERS and was in _NUMBERS and found is not Kind.INTEGER and not sized:
            return value if self.kind == "postgresql" else node
        if found is Kind.TEXT and was is Kind.INTEGER and not sized:
            return exp.cast(value, exp.DataType.build("text"))
        return self.refuse(node)

    def _equality(self, node: exp.Expr) -> exp.Expr:
        other = node.args.get("expression")
        if isinstance(node, exp.In) and (node.args.get("query") or not node.expressions):
            return self.refuse(node)
        for side, values in ((node.this, [other, *node.expressions]), (other, [node.this])):
            found = self.kind_of(side) if isinstance(side, exp.Column) else None
            for value in values:
                if isinstance(value, exp.Literal) and found is not None:
                    value.replace(self._alike(value, found))
        return node

    def _alike(self, literal: exp.Expr, kind: Kind) -> exp.Expr:
        """A literal as SQLite takes it when it is compared with a column of this kind."""
        if self.kind != "sqlite":
            return literal
        if kind is Kind.BOOLEAN and literal.name in ("0", "1"):
            return exp.Boolean(this=literal.name == "1")
        if kind is Kind.TEXT and not literal.is_string:
            return exp.Literal.string(literal.name)
        if kind in _NUMBERS and literal.is_string:
            return exp.Literal.number(literal.name) if _NUMBER.fullmatch(literal.name) else self.refuse(literal)
        return literal

    def _order(self, node: exp.Expr) -> exp.Expr:
        """Texts are ordered by their bytes in SQLite, and by the server's collation in PostgreSQL."""
        sides = [node.this, *(node.args.get(name) for name in ("expression", "low", "high"))]
        kinds = {self.kind_of(side) for side in sides if side is not None}
        if kinds & {Kind.TIMESTAMP, Kind.TIME, Kind.BOOLEAN, Kind.BYTES, Kind.OTHER}:
            return self.refuse(node)
        if Kind.DATE in kinds or Kind.TEXT not in kinds:
            return node
        collated = any(side is not None and side.find(exp.Collate) for side in sides)
        if self.kind == "postgresql":
            if not collated:
                return self.refuse(node)
            for side in list(node.find_all(exp.Collate)):
                side.replace(side.this)
            return node
        node.set("this", exp.Collate(this=node.this, expression=exp.to_identifier("C", quoted=True)))
        return node

    def _pattern(self, node: exp.Expr) -> exp.Expr:
        """Patterns: SQLite's like leaves the case of A to Z out of account, its glob does not."""
        pattern = node.expression.unnest()
        if not isinstance(pattern, exp.Literal) or not pattern.name.isascii() or "\\" in pattern.name:
            return self.refuse(node)
        text = pattern.name
        made = self._glob(node, text) if isinstance(node, exp.Glob) else self._like(node, text)
        return exp.not_(exp.paren(made)) if node.args.get("negate") else made

    def _glob(self, node: exp.Expr, text: str) -> exp.Expr:
        if set(text) & set("[]%_"):
            return self.refuse(node)
        return exp.Like(this=node.this, expression=exp.Literal.string(text.replace("*", "%").replace("?", "_")))

    def _like(self, node: exp.Expr, text: str) -> exp.Expr:
        blind = isinstance(node, exp.ILike) or self.kind == "sqlite"
        cased = any(letter.isalpha() for letter in text)
        pattern = exp.Literal.string(text)
        if self.to == "sqlite" and cased and not blind:
            if set(text) & set("*?[]"):
                return self.refuse(node)
            return exp.Glob(this=node.this, expression=exp.Literal.string(text.replace("%", "*").replace("_", "?")))
        if self.to == "postgresql" and cased and blind:
            return exp.ILike(this=node.this, expression=pattern)
        return exp.Like(this=node.this, expression=pattern)

    def _joined(self, node: exp.Expr) -> exp.Expr:
        """Texts put together; PostgreSQL wants to be told that a number is one."""
        for side in (node.this, node.expression):
            found = self.kind_of(side)
            if found is Kind.INTEGER:
                side.replace(exp.cast(side.copy(), exp.DataType.build("text")))
            elif found not in (Kind.TEXT, Kind.UUID):
                return self.refuse(node)
        return node

    def _call(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Is):
            number = isinstance(node.expression, exp.Boolean) and self.kind_of(node.this) in _NUMBERS
            plain = isinstance(node.expression, (exp.Null, exp.Boolean)) and not number
            return node if plain else self.refuse(node)
        if isinstance(node, exp.Trim):
            return exp.Trim(this=node.this) if _trims_both(node) else self.refuse(node)
        if isinstance(node, exp.Length):
            return node if self.kind_of(node.this) is Kind.TEXT else self.refuse(node)
        if isinstance(node, exp.Substring):
            counted = [node.args.get(name) for name in ("start", "length")]
            fits = all(n is None or (isinstance(n, exp.Literal) and n.is_int) for n in counted)
            return node if fits and counted[0] is not None and counted[0].name != "0" else self.refuse(node)
        if isinstance(node, exp.Mod):
            return node if self.kind_of(node.this) is Kind.INTEGER else self.refuse(node)
        if self.kind_of(node.this) not in _NUMBERS:
            return self.refuse(node)
        if self.to == "postgresql":
            node.set("this", exp.cast(node.this.copy(), exp.DataType.build("numeric")))
        return node


def _by_bytes(node: exp.Expr) -> bool:
    """Whether a collation orders texts as SQLite does, where that is asked for."""
    return node.expression.name.lower() in ("c", "posix", "binary") and isinstance(_around(node), _ORDERS)


def _around(node: exp.Expr) -> exp.Expr | None:
    """What an expression is part of, parentheses left out."""
    found = node.parent
    while isinstance(found, exp.Paren):
        found = found.parent
    return found


def _trims_both(node: exp.Expr) -> bool:
    return not node.expression and str(node.args.get("position") or "BOTH").upper() == "BOTH"


def _cast_kind(node: exp.Expr) -> Kind | None:
    names = {
        Kind.TEXT: ("TEXT", "VARCHAR", "CHAR", "NAME", "BPCHAR"),
        Kind.INTEGER: ("INT", "BIGINT", "SMALLINT", "TINYINT"),
        Kind.NUMERIC: ("DECIMAL",),
        Kind.FLOAT: ("DOUBLE", "FLOAT"),
        Kind.DATE: ("DATE",),
        Kind.UUID: ("UUID",),
        Kind.BOOLEAN: ("BOOLEAN",),
    }
    said = node.args["to"].this
    name = getattr(said, "name", str(said)).upper()
    return next((kind for kind, words in names.items() if name in words), None)


# --- whether two mean the same


def same(one: str, other: str, kind: str, kinds: Kinds) -> bool:
    """Whether two texts of one kind of database mean the same, as far as their form shows it."""
    return one == other or _form(one, kind, kinds) == _form(other, kind, kinds)


def _form(text: str, kind: str, kinds: Kinds) -> frozenset[str]:
    """The parts of a condition, without what PostgreSQL writes besides: parentheses and casts that change nothing."""
    if not text:
        return frozenset()
    try:
        tree = _parsed(text, kind)
    except Untranslatable:
        return frozenset([" ".join(text.split()).lower()])
    return frozenset(repr(part) for part in _parts(_bare(tree, _Carried(kind, kind, kinds))))


def _parts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.And):
        return [*_parts(node.this), *_parts(node.expression)]
    return [node]


def _bare(node: exp.Expr, carried: _Carried) -> exp.Expr:
    """An expression without what says nothing, and in one of the ways in which it can be said."""
    node = _plainer(node, carried)
    for child in list(node.iter_expressions()):
        made = _bare(child, carried)
        if made is not child:
            child.replace(made)
    return node


def _plainer(node: exp.Expr, carried: _Carried) -> exp.Expr:
    if isinstance(node, exp.Cast) and _cast_kind(node) in _NUMBERS and _NUMBER.fullmatch(node.this.name):
        return exp.Literal.number(node.this.name)
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and _says_nothing(node, carried)):
        node = node.this
    if isinstance(node, exp.Column):
        return exp.column(exp.to_identifier(node.name, quoted=True))
    if isinstance(node, exp.Between):
        low = exp.GTE(this=node.this.copy(), expression=node.args["low"])
        return exp.And(this=low, expression=exp.LTE(this=node.this, expression=node.args["high"]))
    if isinstance(node, (exp.Is, exp.Like, exp.ILike)) and node.args.get("negate"):
        return exp.Not(this=type(node)(this=node.this, expression=node.expression))
    if isinstance(node, exp.Trim) and _trims_both(node):
        return exp.Trim(this=node.this)
    return _in(node) or node


def _in(node: exp.Expr) -> exp.Expr | None:
    """A list of values, as which PostgreSQL keeps ``= any (array[…])`` and ``<> all (array[…])``; None for all else."""
    other = node.args.get("expression")
    if isinstance(node, exp.EQ) and isinstance(other, exp.Any):
        items = other.this
    elif isinstance(node, exp.NEQ) and isinstance(other, exp.Anonymous) and other.name.lower() == "all":
        items = other.expressions[0]
    else:
        return None
    while isinstance(items, (exp.Paren, exp.Cast)):
        items = items.this
    if not isinstance(items, exp.Array) or not items.expressions:
        return None
    found = exp.In(this=node.this, expressions=items.expressions)
    return found if isinstance(node, exp.EQ) else exp.not_(found)


def _says_nothing(node: exp.Cast, carried: _Carried) -> bool:
    value = node.this.unnest()
    found, was = _cast_kind(node), carried.kind_of(value)
    if isinstance(value, (exp.Literal, exp.Null)):
        return True
    if node.args["to"].expressions or (found is Kind.INTEGER and was is not Kind.INTEGER):
        return False
    return (found is Kind.TEXT and was is Kind.TEXT) or (found in _NUMBERS and was in _NUMBERS)
