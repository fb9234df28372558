"""Row filters: the DBA's ``where`` as SQL of one database; the only user of sqlglot besides views to come.

A filter must give the same answer whenever and wherever it is asked, so it speaks of one row's own columns alone.
"""

from collections.abc import Callable
from typing import NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from cdc_sync.errors import ConfigError

DIALECTS = {"sqlite": "sqlite", "postgresql": "postgres"}

_REFUSED: tuple[tuple[type, str], ...] = (
    (exp.Query, "a subquery"),
    (exp.Subquery, "a subquery"),
    (exp.Exists, "a subquery"),
    (exp.AggFunc, "an aggregate"),
    (exp.Window, "a window function"),
    (exp.Placeholder, "a parameter"),
    (exp.Parameter, "a parameter"),
    (exp.Star, "a star"),
    (exp.RegexpLike, "a regular expression, which not every database has"),
    (exp.RegexpILike, "a regular expression, which not every database has"),
)
MOMENT = (
    exp.CurrentDate,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.CurrentDatetime,
    exp.CurrentUser,
    exp.SessionUser,
    exp.Localtime,
    exp.Localtimestamp,
)
"""What asks when it is asked, or by whom."""

_VOLATILE = (*MOMENT, exp.Rand, exp.Randn, exp.Uuid)


def parse(where: str, table: str) -> exp.Expression:
    """The filter as an expression. Raises ConfigError that names what a filter may not hold."""
    try:
        condition = sqlglot.parse_one(where, into=exp.Condition)
    except SqlglotError:
        _refuse(table, "cannot be read as one condition", hint="write it as after where in a query: status <> 'draft'")
    if not isinstance(condition, exp.Expression):
        _refuse(table, "is empty", hint="write it as after where in a query, or take it out")
    for node in condition.walk():
        for kind, what in _REFUSED:
            if isinstance(node, kind):
                _refuse(table, f"holds {what}", hint="a filter speaks of one row's own columns alone")
        if isinstance(node, _VOLATILE):
            _refuse(table, "asks for the time, the user or chance", hint="its answer must not change by itself")
        if isinstance(node, exp.Column) and node.table:
            _refuse(table, f"names a column of {node.table!r}", hint="write the column's name alone")
        if isinstance(node, exp.Anonymous):
            _refuse(table, f"calls {node.name}(), which is not known to be portable", hint="compare columns directly")
    return condition


def _refuse(table: str, why: str, *, hint: str) -> NoReturn:
    raise ConfigError(f"table {table!r}: its filter (where) {why}", hint=hint)


def columns(where: str, table: str) -> list[str]:
    """The columns that the filter reads, in order of appearance, each once."""
    found = (node.name for node in parse(where, table).find_all(exp.Column, bfs=False))
    return list(dict.fromkeys(found))


def render(where: str, table: str, database: str, column: Callable[[str], str]) -> str:
    """The filter in a database's own SQL; ``column`` gives the quoted text that stands for a column.

    Raises ConfigError for what sqlglot cannot carry over to that database.
    """
    try:
        return written(parse(where, table).copy(), database, column)
    except SqlglotError as error:
        _refuse(table, f"cannot be carried over to {database}: {error}", hint="write it with plainer operators")


def written(tree: exp.Expr, database: str, column: Callable[[str], str]) -> str:
    """An expression, which is changed, in a database's own SQL. Raises SqlglotError for what it cannot say."""
    standing: dict[str, str] = {}
    for i, node in enumerate(list(tree.find_all(exp.Column))):
        mark = f"cdc_sync_column_{i}_"
        standing[mark] = column(node.name)
        new = exp.column(mark)
        tree = new if node is tree else tree
        node.replace(new)
    text = tree.sql(dialect=DIALECTS[database], unsupported_level=ErrorLevel.RAISE, comments=False)
    for mark, name in standing.items():
        text = text.replace(mark, name)
    return text
