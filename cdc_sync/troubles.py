"""What went wrong last with other nodes, kept until it goes well: whoever looks in later is told what they said."""

from contextlib import suppress
from dataclasses import dataclass

from cdc_sync import clock
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.errors import CdcSyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """``peer``: the other node; ``origin``: whose batches it was about, empty for all; ``since``: ISO 8601.

    Nothing was deleted for it here.
    """

    peer: str
    origin: str
    message: str
    hint: str
    since: str


def told(session: Session) -> list[Trouble]:
    """What is wrong now, as far as anybody has tried."""
    return [
        Trouble(peer=peer, origin=origin, message=message, hint=hint, since=since)
        for peer, origin, message, hint, since in session.run("troubles")
    ]


class Troubles:
    """The writing side: the database hears of it when something changes, not each time that something is tried."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], str] | None = None

    def _noted(self) -> dict[tuple[str, str], str]:
        if self._known is None:
            with self._database.begin(Mode.READ) as session:
                self._known = {(trouble.peer, trouble.origin): trouble.message for trouble in told(session)}
        return self._known

    def note(self, peer: str, origin: str, error: CdcSyncError) -> bool:
        """What happened with a node; whether that is news. What cannot be written down here is news each time."""
        with suppress(CdcSyncError):
            if self._noted().get((peer, origin)) == str(error):
                return False
            binds = {"message": str(error), "hint": error.hint, "since": clock.now()}
            with self._database.begin(Mode.WRITE) as session:
                session.run("trouble_set", peer=peer, origin=origin, **binds)
            self._noted()[peer, origin] = str(error)
        return True

    def clear(self, peer: str, origin: str) -> None:
        """It went well."""
        if (peer, origin) in self._noted():
            with self._database.begin(Mode.WRITE) as session:
                session.run("trouble_clear", peer=peer, origin=origin)
            del self._noted()[peer, origin]
