"""Whether a view is a proxy of one table, and what it then shows of it.

A proxy's row is one row of its table, seen by itself: its columns and its condition speak of that row alone, and give
the same answer whenever and wherever they are asked. Of PostgreSQL's functions the catalogue knows whether they do
(``immutable``); of SQLite's, ``core.views.calls``.

Two things must be the same wherever an expression is worked out, or it means something else there:

* affinity (SQLite): ``code = 5`` compares texts where ``code`` is declared as text. Change tables have columns of the
  same affinity, so expressions find it there.
* collation: a column declared ``collate nocase`` compares so, and passes that on, as a column's. A change table's
  columns have none of their own (a key that changes from ``a`` to ``A`` is another key): ``views.render`` puts it in.

A function's type, a cast's and a constant's stand in the text; what PostgreSQL writes of a view always says them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import Token, TokenType, exp

from cdc_sync.core import views
from cdc_sync.core.change import Kind, Table, View
from cdc_sync.core.filters import MOMENT
from cdc_sync.core.views import calls
from cdc_sync.core.views.definitions import UNREADABLE, Definition, Unfit

ROWIDS = ("rowid", "oid", "_rowid_")
"""Names of a row's number, where no column has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database itself says about a view: ``columns`` are its columns' names, in order.

    ``changing`` is what in it may have another answer another time, where the database knows.
    """

    columns: tuple[str, ...]
    fired: bool = False
    writable: bool = False
    changing: tuple[str, ...] = ()


def refused(name: str, why: str, facts: Facts) -> View:
    """What is said of a view that is no proxy."""
    return View(refusal=f"view {name!r} is no proxy of one table: {why}", fired=facts.fired, writable=facts.writable)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One definition read over its source; ``standing`` says what stands for the source's columns, over the base.

    ``places``: where a column begins in the definition's text, to where it ends and what is written instead.
    """

    definition: Definition
    source: Table
    standing: Mapping[str, str]
    places: dict[int, tuple[int, str]] = field(default_factory=dict)

    def text(self, tokens: Sequence[Token]) -> str:
        """Tokens as they stand in the definition, without comments, columns as they stand for the base's."""
        parts: list[str] = []
        end, upto = -1, -1
        for token in tokens:
            if token.start <= upto:
                continue
            if end >= 0 and token.start > end + 1:
                parts.append(" ")
            upto, new = self.places.get(token.start, (token.end, None))
            parts.append(self.definition.text[token.start : token.end + 1] if new is None else new)
            end = upto
        return views.bare("".join(parts))


def proxy(definition: Definition, facts: Facts, source: Table, called: str) -> View:
    """The view over its table, or over the view that it selects from. Raises Unfit.

    ``called`` is what a file calls the source; a source that is a view must be a proxy itself.
    """
    if source.view is not None and source.view.base is None:
        raise Unfit(f"it selects from another ({source.view.refusal})")
    if facts.changing:
        raise Unfit(f"it has {facts.changing[0]}, whose answer is not always the same")
    reading = _Reading(definition=definition, source=source, standing=_standing(source))
    texts = list(_columns(reading))
    if len(texts) != len(facts.columns):
        raise Unfit(UNREADABLE)
    expressions = tuple(zip(facts.columns, texts, strict=True))
    condition = _both(source.view.condition if source.view else "", _condition(reading, texts))
    return View(
        table=source.view.table if source.view else called,
        base=source.stored,
        expressions=expressions,
        condition=condition,
        reads=views.reads(condition, definition.kind),
        plain=tuple((name, column) for name, text in expressions if (column := views.plain(text)) is not None),
        constants=tuple((name, text) for name, text in expressions if not views.reads(text, definition.kind)),
        fixed=tuple(_fixed(reading)),
        fired=facts.fired,
        writable=facts.writable,
        collated=tuple(_collated(source.stored, [*texts, condition], definition.kind)),
    )


def _collated(base: Table, texts: Sequence[str], kind: str) -> list[str]:
    computed = {column for text in texts if views.plain(text) is None for column in views.reads(text, kind)}
    return [column.name for column in base.columns if column.collation and column.name in computed]


def _both(one: str, other: str) -> str:
    return f"({one}) and ({other})" if one and other else one or other


def _standing(source: Table) -> dict[str, str]:
    """What stands for each column of the source, over the base."""
    if source.view is None:
        return {name: views.quoted(name) for name in source.names}
    return {name: text if views.plain(text) is not None else f"({text})" for name, text in source.view.expressions}


def _columns(reading: _Reading) -> Iterator[str]:
    definition = reading.definition
    for item, node in zip(definition.items, definition.columns, strict=True):
        if _is_star(node):
            yield from map(views.bare, reading.standing.values())
            continue
        tokens = _without_alias(item, node)
        _check(definition, node, tokens)
        for column in node.find_all(exp.Column):
            _place(reading, column, {}, alone=node.unalias().unnest() is column)
        yield reading.text(tokens)


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _without_alias(tokens: Sequence[Token], node: exp.Expr) -> Sequence[Token]:
    if not isinstance(node, exp.Alias):
        return tokens
    rest = tokens[:-1]
    return rest[:-1] if rest[-1].token_type is TokenType.ALIAS else rest


def _condition(reading: _Reading, texts: Sequence[str]) -> str:
    """The condition; in SQLite it may name the view's own columns, as far as its table has none of that name."""
    definition = reading.definition
    if definition.condition is None:
        return ""
    _check(definition, definition.condition, definition.where)
    named = {}
    if definition.kind == "sqlite" and len(texts) == len(definition.columns):
        named = {node.alias.lower(): f"({text})" for node, text in zip(definition.columns, texts, strict=True)}
    for column in definition.condition.find_all(exp.Column):
        _place(reading, column, named, alone=False)
    return reading.text(definition.where)


# --- columns


def _place(reading: _Reading, node: exp.Column, named: Mapping[str, str], *, alone: bool) -> None:
    """Note what is written in the place of a column; one that is not ``alone`` is computed with."""
    try:
        start = min(part.meta["start"] for part in node.parts)
        end = max(part.meta["end"] for part in node.parts)
    except KeyError:
        raise Unfit(UNREADABLE) from None
    reading.places[start] = (end, _stands_for(reading, node, named, start, alone=alone))


def _stands_for(reading: _Reading, node: exp.Column, named: Mapping[str, str], start: int, *, alone: bool) -> str:
    name, sqlite = _known(reading, node.name), reading.definition.kind == "sqlite"
    if name is not None:
        _check_use(reading, name, alone=alone)
        return reading.standing[name]
    if sqlite and node.name.lower() in ROWIDS:
        return _number(reading, node.name)
    if not node.table and node.name.lower() in named:
        return named[node.name.lower()]
    if sqlite and reading.definition.text[start] == '"' and not node.table:
        return "'" + node.name.replace("'", "''") + "'"  # what SQLite takes it for, where no column has this name
    raise Unfit(f"it reads {node.name!r}, which is no column of {reading.source.name!r}")


def _check_use(reading: _Reading, name: str, *, alone: bool) -> None:
    """Raise Unfit for a column that may be shown, but not computed with."""
    column = reading.source.column(name)
    if not alone and column is not None and column.generated:
        raise Unfit(f"it computes with {name!r}, a generated column, whose value is not captured")
    if not alone and column is not None and reading.definition.kind == "sqlite" and _is_own(column.collation):
        raise Unfit(f"it computes with {name!r}, whose collation is an application's own")
    if not alone and "collate" in (piece.lower() for piece, _ in views.pieces(reading.standing[name])):
        raise Unfit(f"it computes with {name!r} of view {reading.source.name!r}, which has a collation of its own")


def _is_own(collation: str) -> bool:
    return collation.strip('"').lower() not in ("", "binary", "nocase", "rtrim")


def _known(reading: _Reading, name: str) -> str | None:
    if name in reading.standing or reading.definition.kind != "sqlite":
        return name if name in reading.standing else None
    return next((column for column in reading.standing if column.lower() == name.lower()), None)


def _number(reading: _Reading, name: str) -> str:
    """The primary key that is a row's number."""
    source = reading.source
    key = source.column(source.primary_key[0]) if len(source.primary_key) == 1 and not source.view else None
    if key is None or key.declared.lower() != "integer" or not key.supplied:
        raise Unfit(f"it reads {name!r}, the row's number, which is no column of {source.name!r}")
    return reading.standing[key.name]


# --- what a row has that belongs


def _fixed(reading: _Reading) -> Iterator[tuple[str, str]]:
    """The base's columns that the condition sets equal to a literal, each with it."""
    inner = dict(reading.source.view.fixed) if reading.source.view else {}
    yield from inner.items()
    condition = reading.definition.condition
    for part in _conjunction(condition) if condition is not None else ():
        found = _equal(reading, part)
        if found is not None and found[0] not in inner:
            inner |= dict([found])
            yield found


def _conjunction(node: exp.Expr) -> Iterator[exp.Expr]:
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from _conjunction(node.this)
        yield from _conjunction(node.expression)
    else:
        yield node


def _equal(reading: _Reading, part: exp.Expr) -> tuple[str, str] | None:
    """The base's column and the literal that it equals, where a part of the condition says just that."""
    if isinstance(part, exp.Not):
        return _truth(reading, part.this.unnest(), truth=False)
    if isinstance(part, exp.In) and len(part.expressions) == 1:
        one, other = part.this, part.expressions[0]
    elif isinstance(part, (exp.EQ, exp.Is, exp.NullSafeEQ)) and not part.args.get("negate"):
        one, other = part.this, part.expression
    else:
        return _truth(reading, part, truth=True)
    for side, value in ((one.unnest(), other.unnest()), (other.unnest(), one.unnest())):
        column, literal = _base_column(reading, side), _literal(reading, value)
        if column is not None and literal is not None:
            return column, literal
    return None


def _truth(reading: _Reading, node: exp.Expr, *, truth: bool) -> tuple[str, str] | None:
    """A boolean column that stands alone."""
    name = _base_column(reading, node)
    column = reading.source.stored.column(name) if name is not None else None
    if column is None or column.kind is not Kind.BOOLEAN:
        return None
    return column.name, _boolean(reading.definition.kind, truth=truth)


def _boolean(kind: str, *, truth: bool) -> str:
    return str(int(truth)) if kind == "sqlite" else str(truth).lower()


def _base_column(reading: _Reading, node: exp.Expr) -> str | None:
    """The base's column that this is; PostgreSQL compares a ``varchar``, or a domain, as the text that it is."""
    cast = node.to.sql("postgres").lower() if isinstance(node, exp.Cast) else ""
    node = node.this.unnest() if isinstance(node, exp.Cast) else node
    if not isinstance(node, exp.Column):
        return None
    known = _known(reading, node.name)
    name = views.plain(reading.standing[known]) if known is not None else None
    column = reading.source.stored.column(name) if name is not None else None
    if column is None or (cast and not (cast == "text" and column.declared.startswith(("character varying", "text")))):
        return None
    return column.name


def _literal(reading: _Reading, node: exp.Expr) -> str | None:
    kind = reading.definition.kind
    if isinstance(node, exp.Cast) and kind == "postgresql":
        node = node.this.unnest()
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return f"-{node.this.name}"
    if isinstance(node, exp.Literal):
        return "'" + node.name.replace("'", "''") + "'" if node.is_string else node.name
    if isinstance(node, exp.Boolean):
        return _boolean(kind, truth=bool(node.this))
    if isinstance(node, exp.Column) and kind == "sqlite":
        _, stands = reading.places.get(node.this.meta.get("start", -1), (0, ""))
        return stands if stands.startswith("'") else None
    return "null" if isinstance(node, exp.Null) else None


# --- what an expression may hold

_REFUSED: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((exp.Query, exp.Subquery, exp.Exists), "a subquery"),
    (exp.Window, "a window function"),
)
_AGGREGATE = (exp.AggFunc, "an aggregate")
"""Of PostgreSQL's, which are many, the catalogue tells."""


def _check(definition: Definition, tree: exp.Expr, tokens: Sequence[Token]) -> None:
    """Raise Unfit for what does not speak of one row alone, or has not always the same answer."""
    nodes, sqlite = list(tree.walk()), definition.kind == "sqlite"
    for types, what in (*_REFUSED, *([_AGGREGATE] if sqlite else []), (exp.Star, "the whole row (*) as a value")):
        if any(isinstance(node, types) for node in nodes):
            raise Unfit(f"it has {what}")
    if sqlite:
        calls.check(tokens)
    moment = next((node for node in nodes if isinstance(node, MOMENT)), None)
    if moment is not None:
        raise Unfit(f"it has {moment.sql('postgres').lower()}, whose answer is not always the same")
