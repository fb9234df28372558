"""Rows that are to be sent as they stand: noted by what tells them apart, and read when the batch is sealed.

A note holds no values, so it cannot be out of date: whatever writers do between the note and the seal, the seal takes
the row from its own snapshot, and forgets the note where no row stands or where another change tells of it anyway.
"""

import sqlalchemy as sa

from cdc_sync.databases.base import Database, Session, Tracked, constant
from cdc_sync.databases.reading import DIFFERS, NOTES, STANDS, YIELDS, Reader
from cdc_sync.databases.source import FOR, OWN
from cdc_sync.databases.sqlfiles import columns


def changes(reader: Reader, name: str) -> sa.Select[*tuple[object, ...]] | None:
    """The changes that tell of a table's noted rows; None where there are no notes.

    They are inserts, which say nothing of what the server has: one that has the row brings it up to date. Rows that are
    known to be there, and otherwise, are updated; what does not travel is the other.
    """
    if name not in reader.noting:
        return None
    source, shape = reader.source, reader.source.shapes[name]
    notes, told = _notes(reader, name), _told(reader, name)
    live = source.tables[name].alias("cdc_sync_noted_row")
    rows = notes.join(live, sa.and_(*(live.c[c] == notes.c[f"i{i}"] for i, c in enumerate(source.apart(name)))))
    rows = rows.outerjoin(told, sa.and_(*(live.c[c] == told.c[f"i{i}"] for i, c in enumerate(shape.identity))))
    operations = source.tracked[name].settings.operations
    known = sa.and_(notes.c.op == constant(DIFFERS), sa.true() if "update" in operations else sa.false())
    yields = sa.and_(notes.c.op == constant(YIELDS), sa.true() if "insert" in operations else sa.false())
    otherwise = constant("I" if "insert" in operations else "U")
    op = sa.case((known, constant("U")), (yields, constant(YIELDS)), else_=otherwise)
    old = [live.c[column].label(kept) for column, kept in source.old(name).items()]
    visible = reader.visible(name, "cdc_sync_noted_row")
    return (
        sa.select(
            notes.c.seq.label(OWN[0]),
            op.label(OWN[1]),
            notes.c.at.label(OWN[2]),
            *(live.c[c] for c in shape.names),
            *old,
        )
        .select_from(rows)
        .where(told.c.i0.is_(None), sa.true() if visible is None else visible)
    )


def _notes(reader: Reader, name: str) -> sa.Subquery:
    """Each noted row once."""
    change, identity = reader.source.change(name), reader.source.apart(name)
    mine = [change.c[FOR] == constant(name)] if reader.source.shared(name) else []
    return (
        sa.select(
            sa.func.max(change.c[OWN[0]]).label("seq"),
            sa.func.max(change.c[OWN[2]]).label("at"),
            sa.func.min(sa.cast(change.c[OWN[1]], sa.Text)).label("op"),
            *(change.c[column].label(f"i{i}") for i, column in enumerate(identity)),
        )
        .where(reader.unsealed(name, change), change.c[OWN[1]].in_([constant(note) for note in NOTES]), *mine)
        .group_by(*(change.c[column] for column in identity))
        .subquery("cdc_sync_notes")
    )


def _told(reader: Reader, name: str) -> sa.Subquery:
    """Where rows stand or stood that other changes of the batch tell of."""
    change, identity = (
        reader.stream(name, filtered=True).subquery("cdc_sync_telling"),
        reader.source.shapes[name].identity,
    )
    return (
        sa.select(*(change.c[column].label(f"i{i}") for i, column in enumerate(identity)))
        .where(reader.travels(name, change))
        .distinct()
        .subquery("cdc_sync_told")
    )


def of(database: Database, tracked: Tracked, chosen: sa.TableClause) -> sa.Select[*tuple[object, ...]]:
    """What notes of chosen rows hold; ``i0``... of these are what tells the table's or the view's own rows apart."""
    if tracked.base is None:
        return sa.select(*(chosen.c[f"i{i}"] for i in range(len(tracked.noted))))
    live, plain = database.table(tracked.table.stored).alias("cdc_sync_stored"), dict(tracked.table.shown.plain)
    met = (live.c[plain[name]] == chosen.c[f"i{i}"] for i, name in enumerate(tracked.shape.identity))
    columns = [live.c[name].label(f"i{i}") for i, name in enumerate(tracked.noted)]
    return sa.select(*columns).select_from(live.join(chosen, sa.and_(*met)))


def write(session: Session, tracked: Tracked, rows: str, op: str = STANDS) -> int:
    """Note the rows of a temporary table whose columns ``i0``... are what a note holds (``noted``); returns how many.

    ``op`` is ``DIFFERS`` where a server is known to have them, ``YIELDS`` where it may know better.
    """
    places = columns(f"i{i}" for i in range(len(tracked.noted)))
    about = {"change": tracked.change, "name": tracked.settings.name, "op": op}
    holes = {**about, "identity": columns(tracked.noted), "places": places, "rows": rows}
    return session.touch("note_rows", holes)
