"""What a view at the target has to say of rows that are sent to it: which of them it shows, before and afterwards."""

from typing import Any

import sqlalchemy as sa

from cdc_sync.core import views
from cdc_sync.core.change import View
from cdc_sync.core.views.landing import Landing
from cdc_sync.databases import images
from cdc_sync.databases.base import Database, constant
from cdc_sync.databases.sqlfiles import quote
from cdc_sync.databases.writing import Writer

SEEN = "cdc_sync_seen"

Condition = sa.ColumnElement[bool]


def shows(database: Database, view: View, row: str) -> Condition:
    """Whether a view shows the base's row of this alias; a condition that is not known is not met."""
    if not view.condition:
        return sa.true()
    text = views.render(view.condition, database.kind, lambda column: f"{row}.{quote(column)}")
    return sa.func.coalesce(sa.literal_column(f"({text})"), sa.false())


def rows(database: Database, landing: Landing, name: str) -> sa.FromClause:
    """The rows of a base that a view of it shows, under the base's own column names."""
    base = database.table(landing.table).alias(SEEN)
    return sa.select(*base.c).where(shows(database, landing.view, SEEN)).subquery(name)


def strays(writer: Writer, landing: Landing) -> sa.Select[*tuple[Any, ...]]:
    """Staged rows (seq) that were written and do not belong: the view does not show them, or shows something else."""
    resolved, target = writer.resolved(), writer.target.alias(SEEN)
    met = resolved.join(target, writer.same_key(target, resolved), isouter=True)
    if landing.through:
        shown: Condition = target.c[writer.shapes[writer.name].key[0]].is_not(None)
        return sa.select(resolved.c.seq).select_from(met).where(sa.not_(shown))
    met = met.join(writer.staging, writer.staging.c.seq == resolved.c.seq)
    same = (_same(writer, landing, column) for column in landing.constants)
    belongs = sa.and_(shows(writer.database, landing.view, SEEN), *same)
    return sa.select(resolved.c.seq).select_from(met).where(sa.not_(belongs))


def standing(writer: Writer, *, whole: bool) -> sa.Select[*tuple[Any, ...]]:
    """How many staged rows the view shows; ``whole``: of those whose parents are all there."""
    resolved, target = writer.resolved(), writer.target.alias(SEEN)
    rows = resolved.join(target, writer.same_key(target, resolved))
    counted = sa.select(sa.func.count()).select_from(rows)
    return counted.where(resolved.c.whole == constant(1)) if whole else counted


def _same(writer: Writer, landing: Landing, column: str) -> Condition:
    """Whether a column came with the value that it has in all rows of the view."""
    described = landing.typed(column)
    literal = writer.database.retype(landing.constants[column], described.declared if described else "")
    staged = writer.staging.c[writer.layout.value(column)]
    return sa.not_(staged.is_distinct_from(sa.literal_column(literal)))


def overlook(writer: Writer, landing: Landing) -> sa.Delete:
    """Forget the fates of rows that were deleted at their origin, and that the view does not show."""
    target = writer.target.alias(SEEN)
    rows = writer.mark.join(target, writer.located(target, writer.mark))
    hidden = sa.not_(shows(writer.database, landing.view, SEEN))
    found = sa.select(writer.mark.c.seq).select_from(rows).where(writer.mark.c.op == constant("D"), hidden)
    return sa.delete(writer.fate).where(writer.fate.c.seq.in_(found))


def forget(writer: Writer) -> sa.Delete:
    """Forget the marks of those whose fates are forgotten."""
    return sa.delete(writer.mark).where(writer.mark.c.seq.not_in(sa.select(writer.fate.c.seq)))


def taken_over(writer: Writer, other: Writer) -> sa.Delete:
    """Forget that rows went which live on in another view of the same table: they only moved."""
    keys = sa.select(*(other.staging.c[name] for name in images.key_columns(other)))
    old = sa.tuple_(*(writer.fate.c[column.name] for column in writer.layout.old))
    gone = writer.fate.c.op == constant("D")
    return sa.delete(writer.fate).where(gone, old.in_(keys.where(other.staging.c.op != constant("D"))))
