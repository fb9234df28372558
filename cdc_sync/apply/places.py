"""Rows of a batch change places: keys and unique values change hands, and whoever is in the way steps aside first."""

import logging
from typing import Any

import sqlalchemy as sa

from cdc_sync.apply.judge import Conflict
from cdc_sync.core.keys import Plain, steps
from cdc_sync.databases import Session
from cdc_sync.databases.renaming import Renaming
from cdc_sync.databases.room import Detour, Room
from cdc_sync.databases.writing import Writer
from cdc_sync.errors import CdcSyncError, DatabaseError

log = logging.getLogger("cdc_sync")


def rename(session: Session, writer: Writer) -> None:
    """Give marked rows the keys that they get. Raises Conflict where a row that the batch does not know has one."""
    renaming = Renaming(writer)
    _keep(session, renaming.moved, renaming.keep_moves())
    _keep(session, renaming.way, renaming.keep_way())
    count, strangers = session.query(renaming.in_the_way())[0]
    if strangers:
        raise Conflict(
            f"conflict update_exists in table {writer.name!r}: "
            "a row was given a key under which the target has another row already",
            hint="give one of the two rows another key; the row waits, and nothing is lost",
        )
    if count:
        _clear_the_way(session, renaming)
    session.execute(renaming.rename())


def _clear_the_way(session: Session, renaming: Renaming) -> None:
    """Park rows that will be renamed or deleted themselves; where no value for that is legal, delete them."""
    writer = renaming.writer
    for column, parking in renaming.spares():
        try:
            with session.attempt():
                _keep(session, renaming.parked, parking)
                for statement in renaming.park(column):
                    session.execute(statement)
        except DatabaseError as error:
            log.debug("parking in column %s of table %s: %s", column, writer.name, error)
        else:
            return
    nameless = not any(isinstance(step, Plain) for step in steps(writer.shapes[writer.name]))
    session.execute(renaming.remove(living=nameless))
    _keep(session, renaming.way, renaming.keep_way())
    if session.query(renaming.in_the_way())[0][0]:
        raise CdcSyncError(
            f"table {writer.name!r}: two rows change places, and no value is free to move one aside",
            hint="do it at the target by hand, or through a third key in two rounds of replicate; the rows wait",
        )


def make_room(session: Session, writer: Writer) -> None:
    """Have rows of the batch let go of unique values that other rows of it are to get."""
    described, shape = writer.described[writer.name], writer.shapes[writer.name]
    for unique in described.uniques:
        ours = set(unique).issubset((*shape.names, *writer.filled))
        if ours and set(unique) not in (set(shape.key), set(writer.locator)):
            _step_aside(session, Room(writer, unique))


def _step_aside(session: Session, room: Room) -> None:
    for column, holders in room.ways():
        try:
            with session.attempt():
                _keep(session, room.aside, holders)
                if session.query(sa.select(room.aside).limit(1)):
                    session.execute(room.step(column))
        except DatabaseError as error:
            log.debug("stepping aside in column %s of table %s: %s", column, room.writer.name, error)
        else:
            return


def update_by_detour(session: Session, writer: Writer, update: sa.Update) -> int | None:
    """Update once unique values that may change hands in a way that no plain key shows have been let go.

    Returns how many rows were updated; None, and nothing done, where that does not help.
    """
    detour = Detour(writer)
    for column, holders in detour.ways():
        try:
            with session.attempt():
                _keep(session, detour.aside, holders)
                session.execute(detour.step(column))
            with session.attempt():
                return session.execute(update)
        except DatabaseError as error:
            log.debug("a detour by column %s of table %s: %s", column, writer.name, error)
    return None


def _keep(session: Session, table: sa.TableClause, query: sa.Select[*tuple[Any, ...]]) -> None:
    session.database.keep(session, table.name, query)
