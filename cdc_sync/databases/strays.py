"""Rows that have another parent now although nothing was done to them: a parent went, and another row took its place.

That happens where foreign keys are not checked at once: deferred constraints, SQLite without its pragma, or under
``session_replication_role = replica``. No change of the children tells of it, and their natural keys are others now.
"""

import sqlalchemy as sa

from cdc_sync.core.change import Reference
from cdc_sync.databases.base import Session, constant
from cdc_sync.databases.reading import Reader
from cdc_sync.databases.source import OWN


def changes(session: Session, reader: Reader, name: str) -> sa.Select[*tuple[object, ...]] | None:
    """The changes that tell of such rows of a table, after all others; None where there are none."""
    shape = reader.source.shapes[name]
    usurped = [r for r in shape.references if (r.table, r.target) in reader.usurped]
    if not usurped:
        return None
    found = sa.union_all(*(_under(reader, name, reference) for reference in usurped)).subquery("cdc_sync_stray")
    seq = (constant(reader.upto[name]) + sa.func.row_number().over()).label(OWN[0])
    query = sa.select(seq, constant("K").label(OWN[1]), *found.c)
    return query if session.query(query.limit(1)) else None


def _under(reader: Reader, name: str, reference: Reference) -> sa.Select[*tuple[object, ...]]:
    source, shape = reader.source, reader.source.shapes[name]
    live, origin = (
        source.tables[name].alias("cdc_sync_child"),
        reader.origins[reference.table, reference.target].alias(),
    )
    met = sa.and_(*(live.c[c] == origin.c[f"t{i}"] for i, c in enumerate(reference.columns)))
    rows, now = reader.follow(live.join(origin, met), {c: live.c[c] for c in shape.names}, reference)
    other = sa.or_(*(leaf.is_distinct_from(origin.c[f"k{i}"]) for i, leaf in enumerate(now)))
    told = reader.stream(name, filtered=False).subquery()
    same = [told.c[column] == live.c[column] for column in shape.identity]
    arrived = sa.select(told.c[OWN[0]]).where(*same, told.c[OWN[1]].in_([constant("I"), constant("K")])).exists()
    old = [live.c[column].label(kept) for column, kept in source.old(name).items()]
    visible = reader.visible(name, "cdc_sync_child")
    return (
        sa.select(origin.c.at.label(OWN[2]), *(live.c[c] for c in shape.names), *old)
        .select_from(rows)
        .where(origin.c.usurped == constant(1), other, sa.not_(arrived), sa.true() if visible is None else visible)
    )
