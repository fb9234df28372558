"""Versions: for each row that came from a node, which one wrote it last and when that was captured.

They lie beside the target's tables under the same keys (primary key, or else natural key), so that a conflict is found
by a join and never forgotten. What has no version was written by the target's own applications.
"""

import hashlib
import json
from typing import Any

import sqlalchemy as sa

from cdc_sync.core.change import COMES, Kind, Op, Table
from cdc_sync.databases import sqlfiles
from cdc_sync.databases.base import Session, Tracked, constant
from cdc_sync.databases.writing import Writer
from cdc_sync.errors import DatabaseError

READABLE = 40
"""Characters of a table's name that stand in the name of its versions; a digest follows where that is not all of it."""


def version_name(session: Session, table: str) -> str:
    digest = hashlib.sha256(table.encode()).hexdigest()[:8]
    plain = table.isascii() and len(table) <= READABLE
    return session.database.change_name(f"version_{table}" if plain else f"version_{table[: READABLE // 4]}_{digest}")


def prepared(session: Session, known: dict[str, tuple[str, str]], table: Table, locator: tuple[str, ...]) -> str:
    """The name of the table of versions, made if it is not there; ``known`` are those that are (see ``versioned.sql``).

    Where the columns that tell rows apart have changed, versions begin anew.
    """
    columns = [(f"l{i}", column.declared) for i, name in enumerate(locator) if (column := table.column(name))]
    declared = json.dumps([[name, *column] for name, column in zip(locator, columns, strict=True)])
    name = version_name(session, table.called)
    if known.get(table.called) == (name, declared):
        return name
    session.run("version_drop", {"name": name})
    definitions = ", ".join(f"{sqlfiles.quote(column)} {kind}" for column, kind in columns)
    key = sqlfiles.columns(column for column, _ in columns)
    session.run("version_table", {"name": name, "definitions": definitions, "key": key})
    session.run("versioned_add", table_name=table.called, version_table=name, declared=declared)
    known[table.called] = (name, declared)
    return name


def note_own(session: Session, name: str, tracked: Tracked, node: str) -> int | None:
    """Give rows that this node's own applications wrote its version, as far as that was not done before.

    Returns up to which change it was done before, None where none came after that one.

    A change is noted once, or it would seem to come after what was applied meanwhile. On PostgreSQL a transaction that
    was open then, and has written before others that are noted, is noted with its next change only.
    """
    identity, noted = tracked.shape.identity, session.run("versioned_noted", version_table=name)[0][0]
    newest = int(session.run("newest", {"change": tracked.change})[0][0] or 0)
    if newest <= noted:
        return None
    session.run("versioned_note", version_table=name, noted=newest)
    places = [f"l{i}" for i in range(len(identity))]
    change = session.database.change_table(tracked.change, ("cdc_sync_seq", "cdc_sync_captured_at", *identity))
    here = [change.c[column].label(place) for column, place in zip(identity, places, strict=True)]
    at = _known(sa.cast(sa.func.max(session.database.captured_at(change.c.cdc_sync_captured_at)), sa.Text))
    news = change.c.cdc_sync_seq > constant(noted)
    rows = sa.select(*here, constant(node).label("origin"), at.label("at")).where(news).group_by(*here)
    _put(session, name, places, rows)
    return int(noted)


def _put(session: Session, name: str, places: list[str], rows: sa.Select[*tuple[Any, ...]]) -> None:
    """Give each of these rows its version, whether it has one or not.

    One statement that looks each place up in the key: an anti-join with a table that is filled meanwhile was planned as
    if it were empty, and 100,000 rows took minutes.
    """
    columns = sqlfiles.columns([*places, "origin", "at"])
    holes = {"name": name, "columns": columns, "key": sqlfiles.columns(places), "rows": session.database.compile(rows)}
    session.touch("version_put", holes)


class Versions:
    """Builds the statements about one table's versions; ``node`` is the origin of what is staged."""

    def __init__(self, writer: Writer, name: str, node: str) -> None:
        self.writer = writer
        self.name = name
        self.origin = node
        self.node = constant(node)
        self.places = [f"l{i}" for i in range(len(writer.locator))]
        self.table = writer.database.change_table(name, (*self.places, "origin", "at"))

    def met(self, *, entered: bool, own: bool) -> sa.Select[*tuple[Any, ...]]:
        """Staged rows that live on, and meet a row of somebody else's, or none although they say it is there.

        Also those that were entered under a key which is another one at their origin, and the same here.
        ``entered``: also those that meet none because they were entered, of which somebody may have deleted another.
        ``own``: also those that meet a row of their own origin.
        seq, op, at, whether a row is there, whether it differs, who wrote it (null: the target's own), and when.
        """
        writer, target, version = self.writer, self.writer.target, self.table
        resolved = writer.resolved()
        rows = resolved.outerjoin(target, writer.same_key(target, resolved))
        rows = rows.outerjoin(version, self._same(target, version))
        there = target.c[writer.shapes[writer.name].key[0]].is_not(None)
        return (
            sa.select(
                resolved.c.seq,
                resolved.c.op,
                _known(resolved.c.at),
                _number(there),
                _number(self._differs(target, resolved)),
                version.c.origin,
                version.c.at,
            )
            .select_from(rows)
            .where(
                resolved.c.ready == constant(1),
                resolved.c.seq.not_in(sa.select(writer.fate.c.seq)) if writer.layout.old else sa.true(),
                sa.or_(
                    sa.and_(
                        there,
                        sa.or_(
                            sa.true() if own else sa.false(),
                            version.c.origin.is_distinct_from(self.node),
                            resolved.c.op == constant(Op.YIELD),
                            sa.and_(resolved.c.op == constant("I"), self._respelled(target, resolved)),
                        ),
                    ),
                    sa.and_(sa.not_(there), sa.true() if entered else resolved.c.op.not_in(map(constant, COMES))),
                ),
            )
        )

    def _differs(self, target: sa.FromClause, resolved: sa.FromClause) -> sa.ColumnElement[bool]:
        apart = self.writer.database.apart
        odd = {c.name for c in self.writer.described[self.writer.name].columns if c.kind in (Kind.JSON, Kind.OTHER)}
        pairs = [(column, target.c[column], self.writer.value(resolved, column)) for column in self.writer.written]
        different = (
            apart(here).is_distinct_from(apart(coming)) if column in odd else here.is_distinct_from(coming)
            for column, here, coming in pairs
        )
        return sa.or_(sa.false(), *different)

    def _respelled(self, target: sa.FromClause, resolved: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a row is found under another spelling of its key. (What is concatenated has no collation.)"""
        writer, apart = self.writer, self.writer.database.apart
        texts = {c.name for c in writer.described[writer.name].columns if c.kind is Kind.TEXT}
        key = [column for column in writer.shapes[writer.name].key if column in texts]
        pairs = [(target.c[column], writer.value(resolved, column)) for column in key]
        nothing = constant("")
        apart_from = (apart(here).concat(nothing) != apart(coming).concat(nothing) for here, coming in pairs)
        return sa.or_(sa.false(), *apart_from)

    def met_marked(self) -> sa.Select[*tuple[Any, ...]]:
        """Marked rows that somebody else wrote: seq, op, at, who wrote it (null: the target's own), and when."""
        mark, version = self.writer.mark, self.table
        same = sa.and_(*(mark.c[place] == version.c[place] for place in self.places))
        return (
            sa.select(mark.c.seq, mark.c.op, _known(mark.c.at), version.c.origin, version.c.at)
            .select_from(mark.outerjoin(version, same))
            .where(version.c.origin.is_distinct_from(self.node))
        )

    def unmarked(self) -> sa.Select[*tuple[Any, ...]]:
        """Rows that lived before, were deleted or renamed, and are not there: seq, op, at."""
        fate, mark = self.writer.fate, self.writer.mark
        rows = fate.outerjoin(mark, mark.c.seq == fate.c.seq)
        missing = sa.and_(mark.c.seq.is_(None), fate.c.born == constant(0))
        return sa.select(fate.c.seq, fate.c.op, _known(fate.c.at)).select_from(rows).where(missing)

    def forget_marked(self) -> sa.Delete:
        """Versions under the places that marked rows leave."""
        mark = self.writer.mark
        return sa.delete(self.table).where(self._among(sa.select(*(mark.c[place] for place in self.places))))

    def insert_new(self, session: Session) -> int:
        """Insert the staged rows, none of which is there yet, with their versions; returns how many those are.

        All get the time of the latest of them: which row is whose counts, and when only where the newest change wins.
        A second look for the rows that were inserted, to give each its own, takes as long again as inserting them.
        """
        writer, table = self.writer, self.writer.described[self.writer.name]
        latest = sa.select(_known(sa.func.max(writer.staging.c.at)))
        holes = {
            "table": sqlfiles.quote(table.schema, table.name),
            "columns": sqlfiles.columns(writer.written),
            "rows": writer.database.compile(writer.all_rows()),
            "locator": sqlfiles.columns(writer.locator),
            "name": self.name,
            "places": sqlfiles.columns(self.places),
            "origin": self.origin,
            "latest": writer.database.compile(latest),
        }
        return session.touch("keys/insert_new", holes)

    def stamp(self, session: Session) -> None:
        """Give the rows that live the batch's version."""
        _put(session, self.name, self.places, self._stamped())

    def stamp_new(self, session: Session) -> None:
        """The same for rows that are all new. A place may have been another row's, which went without a word."""
        try:
            with session.attempt():
                session.execute(sa.insert(self.table).from_select([*self.places, "origin", "at"], self._stamped()))
        except DatabaseError as error:
            if error.temporary:
                raise
            self.stamp(session)

    def _stamped(self) -> sa.Select[*tuple[Any, ...]]:
        writer, target, resolved = self.writer, self.writer.target, self.writer.resolved()
        locator = [target.c[column].label(place) for column, place in zip(writer.locator, self.places, strict=True)]
        rows = resolved.join(target, writer.same_key(target, resolved))
        return sa.select(*locator, self.node.label("origin"), _known(resolved.c.at).label("at")).select_from(rows)

    def _same(self, target: sa.FromClause, version: sa.FromClause) -> sa.ColumnElement[bool]:
        pairs = zip(self.writer.locator, self.places, strict=True)
        return sa.and_(*(target.c[column] == version.c[place] for column, place in pairs))

    def _among(self, places: sa.Select[*tuple[Any, ...]]) -> sa.ColumnElement[bool]:
        return sa.tuple_(*(self.table.c[place] for place in self.places)).in_(places)


def _known(at: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A time of capture, before every other one where an application's clock is no clock."""
    return sa.func.coalesce(at, constant(""))


def _number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.case((condition, constant(1)), else_=constant(0))
