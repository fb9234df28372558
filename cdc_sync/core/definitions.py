"""What a view's definition says, judged with sqlglot: a proxy of one table, or why it is none.

sqlglot says what a definition is made of. The texts of expressions are cut out of the definition as they stand, with
nothing but their columns written anew: what sqlglot writes itself can mean something else even in the dialect that it
was read in (it makes ``cast(n as numeric)`` a ``real`` for SQLite).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError

from cdc_sync.core import views
from cdc_sync.core.change import Kind, Table, View
from cdc_sync.core.filters import DIALECTS

ROWIDS = ("rowid", "oid", "_rowid_")

Span = tuple[int, int]


class Unfit(Exception):
    """A definition that is no proxy of one table; its text says why, as a clause about the view ("it has a limit")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition in its parts: the table or view that it selects from, its columns and its condition as tokens.

    ``schema`` is empty where the definition names none.
    """

    kind: str
    text: str
    tree: exp.Select
    schema: str
    source: str
    items: tuple[tuple[Token, ...], ...]
    where: tuple[Token, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the database itself says about a view: ``columns`` are its columns' names, in order.

    ``changing`` are the functions in it whose answer may change by itself, where the database knows.
    """

    columns: tuple[str, ...]
    fired: bool = False
    writable: bool = False
    changing: tuple[str, ...] = ()


def refused(name: str, why: str, facts: Facts) -> View:
    return View(refusal=f"view {name!r} is no proxy of one table: {why}", fired=facts.fired, writable=facts.writable)


# --- a definition in its parts


def parse(text: str, kind: str) -> Definition:
    """The parts of a definition. Raises Unfit for whatever makes its rows something else than a table's rows."""
    try:
        dialect = sqlglot.Dialect.get_or_raise(DIALECTS[kind])
        tokens = list(dialect.tokenize(text))
        body = _body(tokens)
        text = text[: tokens[-1].start] if tokens[-1].token_type is TokenType.SEMICOLON else text
        (tree,) = dialect.parse(text[body[0].start :])
    except (SqlglotError, ValueError, IndexError):
        raise Unfit("its definition cannot be read") from None
    if not isinstance(tree, exp.Select):
        _refuse_query(tree)
    _check_clauses(tree)
    tokens = [token for token in dialect.tokenize(text[body[0].start :]) if token.token_type is not TokenType.SEMICOLON]
    schema, source = _source(tree)
    items, where = _split(tokens, len(tree.expressions))
    return Definition(
        kind=kind, text=text[body[0].start :], tree=tree, schema=schema, source=source, items=items, where=where
    )


def _body(tokens: list[Token]) -> list[Token]:
    """What follows ``create view … as``, if the text begins with that."""
    if tokens[0].token_type is not TokenType.CREATE:
        return tokens
    return tokens[
        next(i for i, token, depth in _at_depth(tokens) if depth == 0 and token.token_type is TokenType.ALIAS) + 1 :
    ]


def _at_depth(tokens: Sequence[Token]) -> Iterator[tuple[int, Token, int]]:
    depth = 0
    for i, token in enumerate(tokens):
        depth -= token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET)
        yield i, token, depth
        depth += token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET)


def _refuse_query(tree: object) -> NoReturn:
    if isinstance(tree, exp.SetOperation):
        word = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}.get(type(tree), "set operation")
        raise Unfit(f"it joins queries by {word}")
    if isinstance(tree, exp.Values):
        raise Unfit("it has values instead of a table")
    raise Unfit("its definition cannot be read as one select")


_CLAUSES = {
    "with_": "a with clause",
    "distinct": "distinct",
    "laterals": "a lateral join",
    "group": "group by",
    "having": "having",
    "windows": "a window",
    "qualify": "a window",
    "limit": "a limit",
    "offset": "an offset",
    "locks": "a lock (for update)",
    "sample": "a sample",
}
_ALLOWED = {"expressions", "from_", "where", "order", "kind", "hint", "operation_modifiers"}


def _check_clauses(tree: exp.Select) -> None:
    if tree.args.get("joins"):
        raise Unfit(f"it has {_join(tree.args['joins'][0])}")
    for clause, what in _CLAUSES.items():
        if tree.args.get(clause):
            raise Unfit(f"it has {what}")
    odd = next((clause for clause, value in tree.args.items() if value and clause not in _ALLOWED), None)
    if odd is not None:
        raise Unfit(f"it has a clause that is not known here ({odd.strip('_')})")
    if not tree.args.get("from_"):
        raise Unfit("it selects from no table")


def _join(join: exp.Join) -> str:
    if isinstance(join.this, exp.Lateral):
        return "a lateral join"
    words = [str(join.args.get(word) or "").lower() for word in ("method", "side", "kind")]
    said = " ".join(word for word in words if word)
    if not said and not join.args.get("on") and not join.args.get("using"):
        return "a join (two tables after from)"
    return f"a join ({said} join)" if said else "a join"


def _source(tree: exp.Select) -> tuple[str, str]:
    table = tree.args["from_"].this
    if isinstance(table, exp.Subquery) and isinstance(table.this, exp.Table):
        table = table.this
        if table.args.get("joins"):
            raise Unfit(f"it has {_join(table.args['joins'][0])}")
    if isinstance(table, (exp.Subquery, exp.Select)):
        raise Unfit("it selects from a subquery")
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise Unfit("it selects from a function")
    for clause, what in (("only", "only"), ("sample", "a sample"), ("joins", "a join"), ("pivots", "a pivot")):
        if table.args.get(clause):
            raise Unfit(f"it has {what}")
    if table.args.get("alias") and table.args["alias"].columns:
        raise Unfit("it names columns after from")
    return table.db, table.name


def _split(tokens: Sequence[Token], count: int) -> tuple[tuple[tuple[Token, ...], ...], tuple[Token, ...]]:
    """The select list and the condition. The word from also stands in ``is distinct from``."""
    items: list[list[Token]] = [[]]
    where: list[Token] = []
    clause = TokenType.SELECT
    for i, token, depth in _at_depth(tokens):
        kind = token.token_type
        if depth == 0 and kind in (TokenType.FROM, TokenType.WHERE, TokenType.ORDER_BY):
            clause = clause if i and tokens[i - 1].token_type is TokenType.DISTINCT else kind
            if clause is kind:
                continue
        if clause is TokenType.SELECT and depth == 0 and kind is TokenType.COMMA:
            items.append([])
        elif clause is TokenType.SELECT and (i > 0) and not (i == 1 and kind is TokenType.ALL):
            items[-1].append(token)
        elif clause is TokenType.WHERE:
            where.append(token)
    if len(items) != count or not all(items):
        raise Unfit("its definition cannot be read")
    return tuple(map(tuple, items)), tuple(where)


# --- a definition over its table


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One definition read over its source: columns are looked up there, and texts rewritten."""

    definition: Definition
    source: Table
    standing: Mapping[str, str]
    spans: dict[int, tuple[int, str]] = field(default_factory=dict)

    def text(self, tokens: Sequence[Token]) -> str:
        """Tokens as they stand in the definition, without comments, columns as they stand for the base's."""
        parts: list[str] = []
        end, upto = -1, -1
        for token in tokens:
            if token.start <= upto:
                continue
            if end >= 0 and token.start > end + 1:
                parts.append(" ")
            upto, new = self.spans.get(token.start, (token.end, None))
            parts.append(self.definition.text[token.start : token.end + 1] if new is None else new)
            end = upto
        return "".join(parts)


def proxy(definition: Definition, facts: Facts, source: Table, called: str) -> View:
    """The view over its table, or over the view that it selects from. Raises Unfit.

    ``called`` is what a file calls the source; a source that is a view must be a proxy itself.
    """
    if source.view is not None and source.view.base is None:
        raise Unfit(f"it selects from another: {source.view.refusal}")
    if facts.changing:
        raise Unfit(f"it calls {facts.changing[0]}, whose answer may change by itself")
    reading = _Reading(definition=definition, source=source, standing=_standing(source))
    for node in definition.tree.find_all(exp.Column):
        _place(reading, node)
    expressions = tuple(zip(facts.columns, _columns(reading), strict=True))
    where = _condition(reading)
    inner = source.view.condition if source.view else ""
    condition = f"({inner}) and ({where})" if inner and where else inner or where
    base = source.stored
    return View(
        table=source.view.table if source.view else called,
        base=base,
        expressions=expressions,
        condition=condition,
        reads=views.reads(condition, definition.kind),
        plain=tuple((name, column) for name, text in expressions if (column := views.plain(text)) is not None),
        constants=tuple((name, text) for name, text in expressions if not views.reads(text, definition.kind)),
        fixed=tuple(_fixed(reading)),
        fired=facts.fired,
        writable=facts.writable,
    )


def _standing(source: Table) -> dict[str, str]:
    """What stands for each column of the source, over the base."""
    if source.view is None:
        return {name: views.quoted(name) for name in source.names}
    return {name: text if views.plain(text) is not None else f"({text})" for name, text in source.view.expressions}


def _columns(reading: _Reading) -> Iterator[str]:
    for tokens, node in zip(reading.definition.items, reading.definition.tree.expressions, strict=True):
        if isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
            yield from map(views.bare, reading.standing.values())
            continue
        _check(node)
        yield views.bare(reading.text(_without_alias(tokens, node)))


def _without_alias(tokens: Sequence[Token], node: exp.Expr) -> Sequence[Token]:
    if not isinstance(node, exp.Alias):
        return tokens
    rest = tokens[:-1]
    return rest[:-1] if rest[-1].token_type is TokenType.ALIAS else rest


def _condition(reading: _Reading) -> str:
    where = reading.definition.tree.args.get("where")
    if where is None:
        return ""
    _check(where.this)
    return views.bare(reading.text(reading.definition.where))


def _fixed(reading: _Reading) -> Iterator[tuple[str, str]]:
    """The base's columns that the condition sets equal to a literal, each with it."""
    inner = reading.source.view
    yield from inner.fixed if inner else ()
    where = reading.definition.tree.args.get("where")
    known = {name for name, _ in inner.fixed} if inner else set()
    for part in _conjunction(where.this) if where is not None else ():
        found = _equal(reading, part)
        if found is not None and found[0] not in known:
            known.add(found[0])
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
        part = exp.EQ(this=part.this, expression=part.expressions[0])
    if not isinstance(part, (exp.EQ, exp.Is, exp.NullSafeEQ)):
        return _truth(reading, part, truth=True)
    for one, other in ((part.this, part.expression), (part.expression, part.this)):
        column, literal = _base_column(reading, one.unnest()), _literal(reading.definition.kind, other.unnest())
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


def _literal(kind: str, node: exp.Expr) -> str | None:
    if isinstance(node, exp.Cast) and kind == "postgresql":
        node = node.this.unnest()
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and not node.this.is_string:
        return f"-{node.this.name}"
    if isinstance(node, exp.Literal):
        return "'" + node.name.replace("'", "''") + "'" if node.is_string else node.name
    if isinstance(node, exp.Boolean):
        return _boolean(kind, truth=bool(node.this))
    return "null" if isinstance(node, exp.Null) else None


def _place(reading: _Reading, node: exp.Column) -> None:
    """Note what is written in the place of a column."""
    if isinstance(node.this, exp.Star):
        return
    try:
        start = min(part.meta["start"] for part in node.parts)
        end = max(part.meta["end"] for part in node.parts)
    except KeyError:
        raise Unfit("its definition cannot be read") from None
    name = _known(reading, node.name)
    if name is not None:
        reading.spans[start] = (end, reading.standing[name])
    elif reading.definition.kind == "sqlite" and reading.definition.text[start] == '"' and not node.table:
        literal = "'" + node.name.replace("'", "''") + "'"  # what SQLite takes it for, where no column has this name
        reading.spans[start] = (end, literal)
    else:
        raise Unfit(f"it reads {node.name!r}, which is no column of {reading.source.name!r}")


def _known(reading: _Reading, name: str) -> str | None:
    if name in reading.standing or reading.definition.kind != "sqlite":
        return name if name in reading.standing else None
    return next((column for column in reading.standing if column.lower() == name.lower()), None)


# --- what an expression may hold

_REFUSED: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((exp.Query, exp.Subquery, exp.Exists), "a subquery"),
    (exp.Window, "a window function"),
    (exp.AggFunc, "an aggregate"),
)
_VOLATILE = (
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentDatetime,
    exp.CurrentUser,
    exp.SessionUser,
    exp.Localtime,
    exp.Localtimestamp,
    exp.Rand,
    exp.Randn,
    exp.Uuid,
)


def _check(tree: exp.Expr) -> None:
    for node in tree.walk():
        for types, what in _REFUSED:
            if isinstance(node, types):
                raise Unfit(f"it has {what}")
        if isinstance(node, _VOLATILE):
            raise Unfit("it asks for the time, the user or chance")
