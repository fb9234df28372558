"""Rows that were sent to a view and do not belong there: nothing of them may stay, and nothing else waits for them."""

from collections.abc import Iterable, Sequence

from cdc_sync.core.views.landing import Landing
from cdc_sync.databases import Session, belonging, moving
from cdc_sync.databases.writing import Writer
from cdc_sync.errors import CdcSyncError


class Strayed(CdcSyncError):
    """Staged changes (``seqs``) of a unit after which a row is not in the view that it was sent to."""

    def __init__(self, landing: Landing, seqs: Sequence[int]) -> None:
        super().__init__(
            f"a row does not belong to view {landing.name!r}: {landing.belonging()}",
            hint="mend the row at its source, or the view; cdc-sync dead-letters retry tries it again",
        )
        self.table = landing.name
        self.seqs = seqs


def find(session: Session, writer: Writer) -> Strayed | None:
    """What was written and does not belong."""
    landing = writer.landings.get(writer.name)
    if landing is None or not landing.guards:
        return None
    seqs = [seq for (seq,) in session.query(belonging.strays(writer, landing))]
    return Strayed(landing, seqs) if seqs else None


def overlook(session: Session, writer: Writer) -> None:
    """Forget that rows went which their view does not show any more: there is no more to do.

    So it is with a row that moves from one view of a table to another one, where it is written first.
    """
    landing = writer.landings.get(writer.name)
    if landing is not None and not landing.through and landing.view.condition:
        session.execute(belonging.overlook(writer, landing))
        session.execute(belonging.forget(writer))


def take_over(session: Session, writer: Writer, others: Iterable[Writer]) -> None:
    """Forget that rows went which live on in another view of the same table, under the same key."""
    for other in others:
        if writer.key == other.key:
            session.execute(belonging.taken_over(writer, other))


def note_left(session: Session, writer: Writer) -> None:
    """Keep what is staged of rows that leave the view."""
    session.database.keep(session, moving.kept(writer).name, moving.left(writer))


def move(session: Session, writer: Writer, others: Iterable[Writer]) -> None:
    """Give rows their new key that leave a view for another one."""
    for other in others:
        if writer.key == other.key:
            session.database.keep(session, moving.going(writer).name, moving.pairs(writer, other))
            session.execute(moving.rename(writer))
            session.execute(moving.forget(writer))
            session.execute(belonging.forget(writer))
