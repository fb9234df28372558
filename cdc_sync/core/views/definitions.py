"""What a view's definition is made of: what it selects from, its columns and its condition, or why it is no proxy.

sqlglot says what a definition is made of. The texts of its expressions are cut out of it as they stand, which is what
tokens are for: what sqlglot writes itself can mean something else even in the dialect that it was read in (it makes
``cast(n as numeric)`` a ``real`` for SQLite).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError

from cdc_sync.core.filters import DIALECTS

UNREADABLE = "its definition cannot be read"

_OPEN = (TokenType.L_PAREN, TokenType.L_BRACKET)
_CLOSED = (TokenType.R_PAREN, TokenType.R_BRACKET)


class Unfit(Exception):
    """A definition that is no proxy of one table; its text says why, as a clause about the view ("it has a limit")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition in its parts; ``items`` and ``where`` are the tokens of its columns and of its condition.

    ``schema`` is empty where the definition names none. Places of tokens are places in ``text``.
    """

    kind: str
    text: str
    tree: exp.Select
    schema: str
    source: str
    items: tuple[tuple[Token, ...], ...]
    where: tuple[Token, ...]

    @property
    def columns(self) -> list[exp.Expr]:
        found: list[exp.Expr] = self.tree.expressions
        return found

    @property
    def condition(self) -> exp.Expr | None:
        where = self.tree.args.get("where")
        return None if where is None else where.this


def parse(text: str, kind: str) -> Definition:
    """The parts of a definition. Raises Unfit for whatever makes its rows something else than a table's rows."""
    try:
        dialect = sqlglot.Dialect.get_or_raise(DIALECTS[kind])
        text = _query(text, list(dialect.tokenize(text)))
        tokens = list(dialect.tokenize(text))
        (tree,) = dialect.parse(text)
    except (SqlglotError, ValueError, IndexError, StopIteration, RecursionError):
        raise Unfit(UNREADABLE) from None
    if not isinstance(tree, exp.Select):
        _refuse_query(tree)
    _check_clauses(tree)
    schema, source = _source(tree)
    items, where = _split(tokens, len(tree.expressions))
    return Definition(kind=kind, text=text, tree=tree, schema=schema, source=source, items=items, where=where)


def _query(text: str, tokens: list[Token]) -> str:
    """What follows ``create view … as``, if the text begins with that; without a semicolon at its end."""
    begin = 0
    if tokens[0].token_type is TokenType.CREATE:
        begins = (i for i, token, depth in at_depth(tokens) if depth == 0 and token.token_type is TokenType.ALIAS)
        begin = next(begins) + 1
    end = -2 if tokens[-1].token_type is TokenType.SEMICOLON else -1
    return text[tokens[begin].start : tokens[end].end + 1]


def at_depth(tokens: Sequence[Token]) -> Iterator[tuple[int, Token, int]]:
    """Tokens with their places, and in how many parentheses or brackets they stand; these stand outside themselves."""
    depth = 0
    for i, token in enumerate(tokens):
        depth -= token.token_type in _CLOSED
        yield i, token, depth
        depth += token.token_type in _OPEN


# --- clauses

_CLAUSES = {
    "with_": "a with clause",
    "distinct": "distinct",
    "laterals": "a lateral join",
    "group": "group by",
    "having": "having",
    "windows": "a window",
    "limit": "a limit",
    "offset": "an offset",
    "locks": "a lock on its rows",
}
_ALLOWED = {"expressions", "from_", "where", "order", "kind", "hint", "operation_modifiers"}


def _refuse_query(tree: object) -> NoReturn:
    if isinstance(tree, exp.SetOperation):
        _check_with(tree)
        raise Unfit(f"it puts queries together ({type(tree).__name__.lower()})")
    if isinstance(tree, exp.Values):
        raise Unfit("it has values instead of a table")
    raise Unfit(UNREADABLE)


def _check_with(tree: exp.Query) -> None:
    if tree.args.get("with_"):
        raise Unfit("it has a with clause")


def _check_clauses(tree: exp.Select) -> None:
    _check_with(tree)
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
    if said == "cross" or not (said or join.args.get("on") or join.args.get("using")):
        return "a join (two tables after from)"
    return f"a join ({said} join)" if said else "a join"


_TABLE = (("only", "only"), ("sample", "a sample"), ("pivots", "a pivot"))


def _source(tree: exp.Select) -> tuple[str, str]:
    table = tree.args["from_"].this
    if isinstance(table, exp.Subquery) and isinstance(table.this, exp.Table):
        table = table.this  # parentheses, as PostgreSQL writes them around joins
    if isinstance(table, exp.TableSample):
        raise Unfit("it has a sample")
    if isinstance(table, (exp.Subquery, exp.Query)):
        raise Unfit("it selects from a subquery")
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
        raise Unfit("it selects from a function")
    if table.args.get("joins"):
        raise Unfit(f"it has {_join(table.args['joins'][0])}")
    for clause, what in _TABLE:
        if table.args.get(clause):
            raise Unfit(f"it has {what}")
    if table.args.get("alias") and table.args["alias"].columns:
        raise Unfit("it gives the columns of its table other names after from")
    return table.db, table.name


def _split(tokens: Sequence[Token], count: int) -> tuple[tuple[tuple[Token, ...], ...], tuple[Token, ...]]:
    """The tokens of the columns and of the condition. The word from also stands in ``is distinct from``."""
    items: list[list[Token]] = [[]]
    where: list[Token] = []
    clause, before = TokenType.SELECT, TokenType.SELECT
    for i, token, depth in at_depth(tokens):
        kind = token.token_type
        begins = depth == 0 and kind in (TokenType.FROM, TokenType.WHERE, TokenType.ORDER_BY)
        if begins and before is not TokenType.DISTINCT:
            clause = kind
        elif clause is TokenType.SELECT and depth == 0 and kind is TokenType.COMMA:
            items.append([])
        elif clause is TokenType.SELECT and not (i == 0 or (i == 1 and kind is TokenType.ALL)):
            items[-1].append(token)
        elif clause is TokenType.WHERE:
            where.append(token)
        before = kind
    if len(items) != count or not all(items):
        raise Unfit(UNREADABLE)
    return tuple(map(tuple, items)), tuple(where)
