"""What was before the batch, found out before anything of it is read: keys that parents had, rows that went unheard.

Later statements name both by temporary tables (``Reader.origins``, ``Reader.replaced``).
"""

from collections.abc import Mapping

import sqlalchemy as sa

from cdc_sync.core.keys import parents_first
from cdc_sync.databases.base import Session, constant
from cdc_sync.databases.reading import LEFT, MAYBE, NOTES, Reader, equal, pointed_at
from cdc_sync.databases.source import OWN, Source

_GONE = {"D", "K", MAYBE, LEFT}
"""Operations after which a key from before the batch cannot be found any more."""


def prepare(session: Session, source: Source) -> tuple[Reader, Mapping[str, Mapping[str, int]]]:
    """Who reads what waits, knowing all keys from before it; and how many changes of each operation wait, by table."""
    names = sorted(source.tracked)
    upto = {name: session.database.newest(session, source.tracked[name].change) for name in names}
    reader = Reader(source, upto)
    noted = reader.noted(session)
    reader.noting = {name for name in names if not noted[name].keys().isdisjoint(NOTES)}
    replacing = [name for name in names if MAYBE in noted[name]]
    for i, name in enumerate(name for name in replacing if source.tracked[name].base is None):
        _keep_replaced(session, reader, name, f"cdc_sync_replaced_{i}")
    for name in replacing:
        reader.replaced[name] = reader.replaced[source.tracked[name].stored.settings.name]
    gone = {name for name in names if not _GONE.isdisjoint(noted[name])}
    for i, (table, target) in enumerate(_parents_to_keep(source, gone)):
        _keep_origins(session, reader, table, target, f"cdc_sync_origin_{i}")
    return reader, noted


def _parents_to_keep(source: Source, gone: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Parents whose old keys this batch needs, grandparents first, because their children's keys run through them."""
    wanted = [entry for entry in pointed_at(source.shapes) if entry[0] in gone]
    order = parents_first(source.shapes)
    return sorted(wanted, key=lambda entry: (order.index(entry[0]), entry[1]))


def _keep_origins(session: Session, reader: Reader, name: str, target: tuple[str, ...], table: str) -> None:
    """Keep the keys from before the batch of parents that were deleted or changed their key in it.

    A value of the ``target`` columns belonged to a row before the batch if rows left it once more often than rows
    came to it, or as often and one stands there now: a count, because a statement that shifts keys is logged row
    by row and arrivals can come before departures. The first to leave was the one that stood there. ``usurped``
    says that one stands there now although a row has left; ``at``, when the last one did.
    """
    places = [f"t{i}" for i in range(len(target))]
    leaving = _leaving(reader, name, target)
    arrived = _arrived(reader, name, target)
    live = reader.source.tables[name].alias()
    here = [leaving.c[place] for place in places]
    rows: sa.FromClause = leaving.outerjoin(arrived, equal(arrived, places, here))
    rows = rows.outerjoin(live, equal(live, target, here))
    stands = sa.case((live.c[target[0]].is_not(None), constant(1)), else_=constant(0))
    stood = leaving.c.departures - sa.func.coalesce(arrived.c.arrivals, constant(0)) + stands
    before = {column: leaving.c[f"b{i}"] for i, column in enumerate(reader.source.watched(name))}
    rows, leaves = reader.key_before(rows, before, reader.source.shapes[name])
    query = (
        sa.select(
            *here,
            *(leaf.label(f"k{i}") for i, leaf in enumerate(leaves)),
            (leaving.c.vacated * stands).label("usurped"),
            leaving.c.at,
        )
        .select_from(rows)
        .where(leaving.c.place == constant(1), stood == constant(1))
    )
    session.database.keep(session, table, query)
    names = [*places, *(f"k{i}" for i in range(len(leaves))), "usurped", "at"]
    reader.origins[name, target] = kept = sa.table(table, *(sa.column(column) for column in names))
    if session.query(sa.select(constant(1)).where(kept.c.usurped == constant(1)).limit(1)):
        reader.usurped.add((name, target))


def _leaving(reader: Reader, name: str, target: tuple[str, ...]) -> sa.CTE:
    """Rows that left a value of the target columns, by deletion or key change, in order of leaving."""
    change = reader.stream(name, filtered=False).subquery("cdc_sync_departed")
    before = reader.before(name, change)
    here = [before[column] for column in target]
    elsewhere = [before[column].is_distinct_from(change.c[column]) for column in target]
    vacated = sa.case((sa.or_(change.c[OWN[1]] == constant("D"), *elsewhere), constant(1)), else_=constant(0))
    return (
        sa.select(
            *(value.label(f"t{i}") for i, value in enumerate(here)),
            *(value.label(f"b{i}") for i, value in enumerate(before.values())),
            sa.func.max(vacated).over(partition_by=here).label("vacated"),
            sa.func.max(change.c[OWN[2]]).over(partition_by=here).label("at"),
            sa.func.row_number().over(partition_by=here, order_by=change.c[OWN[0]]).label("place"),
            sa.func.count().over(partition_by=here).label("departures"),
        )
        .where(change.c[OWN[1]].in_([constant("D"), constant("K")]))
        .cte("cdc_sync_leaving")
    )


def _arrived(reader: Reader, name: str, target: tuple[str, ...]) -> sa.CTE:
    """How many rows came to each value of the target columns, by insertion or key change."""
    change = reader.stream(name, filtered=False).subquery("cdc_sync_come")
    return (
        sa.select(
            *(change.c[column].label(f"t{i}") for i, column in enumerate(target)),
            sa.func.count().label("arrivals"),
        )
        .where(change.c[OWN[1]].in_([constant("I"), constant("K")]))
        .group_by(*(change.c[column] for column in target))
        .cte("cdc_sync_arrived")
    )


def _keep_replaced(session: Session, reader: Reader, name: str, table: str) -> None:
    """Find which rows of those that REPLACE may have removed are gone; only these count as deleted, from now on.

    A row that stood in the way of another was noted first. If the next thing to happen at its identity is that a
    row arrives there, or if nothing happens and no row stands there now, then it was removed without a word. If it
    leaves, it still lived; if it is noted again, that note decides.
    """
    events = _comings_and_goings(reader, name)
    places = [column for column in events.c if column.name.startswith("t")]
    following = sa.func.lead(events.c.event).over(partition_by=places, order_by=events.c.seq)
    noted = sa.select(events, following.label("following")).cte("cdc_sync_noted")
    here = [noted.c[column.name] for column in places]
    stands = reader.stands(name, here)
    gone = sa.or_(noted.c.following == constant("comes"), sa.and_(noted.c.following.is_(None), sa.not_(stands)))
    session.database.keep(session, table, sa.select(noted.c.seq).where(noted.c.event == constant("noted"), gone))
    reader.replaced[name] = sa.table(table, sa.column("seq"))


def _comings_and_goings(reader: Reader, name: str) -> sa.CTE:
    """Each time that a row came to an identity (``t0``...), left it, or was noted there."""
    change, old = reader.source.change(name), reader.source.old(name)
    op, identity = change.c[OWN[1]], reader.source.shapes[name].identity
    here = [change.c[column] for column in identity]
    there = [change.c[old[column]] for column in identity]
    moved = sa.and_(op == constant("U"), *[sa.or_(*(a.is_distinct_from(b) for a, b in zip(here, there, strict=True)))])
    cases = [
        ("noted", here, op == constant(MAYBE)),
        ("comes", here, sa.or_(op == constant("I"), moved)),
        ("leaves", here, op == constant("D")),
        ("leaves", there, moved),
    ]
    queries = [
        sa.select(
            change.c[OWN[0]].label("seq"),
            constant(event).label("event"),
            *(value.label(f"t{i}") for i, value in enumerate(values)),
        ).where(reader.taken(name, change), condition)
        for event, values, condition in cases
    ]
    return sa.union_all(*queries).cte("cdc_sync_comings_and_goings")
