"""What this database calls the tables and columns of an origin, which are renamed before anything of it is applied.

The names are kept here, so that whoever applies a batch or tries a letter again, from whichever node, knows them.
"""

from cdc_sync.core import wire
from cdc_sync.core.peers import Peer, check_grants, check_moved
from cdc_sync.core.renames import Renames, decode
from cdc_sync.core.wire import Header
from cdc_sync.databases import Database, Mode, Session


def of(session: Session, origin: str) -> Renames:
    """The renames of what an origin sends."""
    rows = session.run("renamed", origin=origin)
    return decode(rows[0][0] if rows else None)


def header_of(session: Session, origin: str, epoch: str, number: int) -> Header:
    """The header of a stored batch, in this database's names."""
    header, renames = session.run("inbox_header", origin=origin, epoch=epoch, number=number)[0]
    return decode(renames).header(wire.decode_header(bytes(header)))


def keep(database: Database, origin: str, renames: Renames) -> None:
    """Rename what the origin sends from now on, and what waits of it."""
    with database.begin(Mode.READ) as session:
        if of(session, origin) == renames:
            return
    with database.begin(Mode.WRITE) as session:
        change(session, origin, renames)


def change(session: Session, origin: str, renames: Renames) -> None:
    before = of(session, origin)
    session.run("renamed_set", origin=origin, renames=renames.encode())
    for id_, table, awaits in session.run("letters_from", origin=origin):
        now = renames.table(before.origin(table))
        waits = awaits and renames.table(before.origin(awaits))
        if (now, waits) != (table, awaits):
            session.run("conflict_move", id=id_, table_name=now)
            session.run("letter_move", id=id_, table_name=now, awaits=waits)


def check_change(session: Session, peer: Peer, renames: Renames) -> None:
    """Raise Forbidden where what waits of an origin would then go where it may not write: it was let in as it was."""
    if peer.grants is None:
        return
    session.run("peer_lock", name=peer.name)
    for origin, epoch, stored, applied, _ in session.run("positions"):
        for number in range(applied + 1, stored + 1) if origin == peer.name else ():
            rows = session.run("inbox_header", origin=origin, epoch=epoch, number=number)
            check_grants(peer, renames.header(wire.decode_header(bytes(rows[0][0]))))
    before = of(session, peer.name)
    for _, table, _ in session.run("letters_from", origin=peer.name):
        check_moved(peer, table, renames.table(before.origin(table)))
