"""The receiving rooms of one database behind one door, for the roads that lead there."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from cdc_sync import apply, receipts, receive, registry
from cdc_sync.apply import names
from cdc_sync.core import fit
from cdc_sync.core.chain import Position, Verdict
from cdc_sync.core.change import Shape
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.receipts import Signed
from cdc_sync.core.renames import Renames
from cdc_sync.core.wire import Part, PartRows, Sealed, Section
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import CdcSyncError
from cdc_sync.registry import Role
from cdc_sync.transports import Offered
from cdc_sync.transports.channel import Channel, GivenUp

log = logging.getLogger("cdc_sync")


class DatabaseInbox:
    """Batches are stored here, and applied to the tables beside. ``carrier`` is who brings them, as in ``receive``."""

    def __init__(self, database: Database, policies: Policies, carrier: str | None = None) -> None:
        self.database = database
        self.policies = policies
        self.carrier = carrier
        self.fresh = True
        self._prepared = False
        self._known_role: Role | None = None

    def close(self) -> None:
        self.database.close()

    def fit(self, offered: Offered, where: str) -> list[tuple[str, str]]:
        """Look whether the tables here take what a node sends, before anything of ours is made here."""
        if not self._role().applies:
            return []
        renames = offered.renames
        shapes = renames.named({shape.name: shape for shape in offered.shapes})
        captured = [renames.table(name) for name in offered.captured]
        with self.database.begin(Mode.READ) as session:
            described = self.database.describe(session, sorted(shapes))
        fit.check_target(shapes, captured, described, where, self.database)
        return fit.left_out(shapes, captured, described)

    def call(self, origin: str, renames: Renames) -> None:
        """From now on, what the origin sends goes to the tables and columns of these names."""
        self._prepare()
        names.keep(self.database, origin, renames)

    def position(self, origin: str, epoch: str) -> Position:
        self._prepare()
        return receive.position(self.database, origin, epoch)

    def holds(self, origin: str, epoch: str, number: int, digest: bytes) -> bool:
        """Whether this very batch is stored here."""
        with self.database.begin(Mode.READ) as session:
            known = session.run("inbox_digest", origin=origin, epoch=epoch, number=number)
        return bool(known) and bytes(known[0][0]) == digest

    def store(self, sealed: Sealed, parts: Iterable[bytes]) -> None:
        self._prepare()
        receive.store(self.database, sealed, parts, self.carrier)

    def _prepare(self) -> None:
        if not self._prepared:
            receive.prepare(self.database)
            self._prepared = True

    def _role(self) -> Role:
        """What the node here does with the batches of others, whoever is connected to it."""
        if self._known_role is None:
            with self.database.begin(Mode.READ) as session:
                self._known_role = registry.role(session) if registry.is_installed(session) else Role()
        return self._known_role

    def apply_next(self, origin: str, epoch: str) -> int | None:
        if not self._role().applies:
            return None
        applied = apply.apply_next(self.database, origin, epoch, self.policies)
        return None if applied is None else applied.rows

    def revive(self) -> None:
        """Try again what waits: at first everything, and then what new batches may have brought the parents of."""
        if self._role().applies:
            apply.revive(self.database, self.policies, all_waiting=self.fresh)
        self.fresh = False

    def waiting(self, origin: str, epoch: str) -> Mapping[str, int]:
        with self.database.begin(Mode.READ) as session:
            rows = session.run("letters_waiting", origin=origin, epoch=epoch)
        return dict(rows)

    def receipts(self) -> list[Signed]:
        with self.database.begin(Mode.READ) as session:
            return receipts.carried(session)

    def bring(self, signed: Sequence[Signed]) -> None:
        """The node here acts on them by itself; it knows which destinations are final."""
        with self.database.begin(Mode.WRITE) as session:
            refused = receipts.bring(session, signed)
        if refused:
            raise refused[0]

    def stream(self, after: Position, shapes: Sequence[Shape], sections: Sequence[Section]) -> "Stream | None":
        """The batch after this position, which arrives while it is read, where the database can take it so.

        A relay takes none: it keeps the batch as it was sealed.
        """
        if not self.database.stages_ahead or self._role() != Role():
            return None
        return Stream(self.database, self.policies, after, shapes, sections, self.carrier)


_Arriving = tuple[str, PartRows] | None | Sealed
"""What comes over a stream: rows of a table, None after the last of them, and the batch as it was sealed."""


class Stream:
    """A batch that a target stages while its origin still reads it, and commits once it is sealed there.

    Reading costs one server about as much as staging costs the other, so the two overlap; the measurement stands in the
    README. It is one transaction in a thread of its own, and nothing depends on it: whatever goes wrong, it is rolled
    back, and the sealed batch comes by the ordinary road.
    """

    def __init__(
        self,
        database: Database,
        policies: Policies,
        after: Position,
        shapes: Sequence[Shape],
        sections: Sequence[Section],
        carrier: str | None = None,
    ) -> None:
        self._database = database
        self._carrier = carrier
        self._policies = policies
        self._after = after
        self._arriving: Channel[_Arriving] = Channel()
        self._thread = ThreadPoolExecutor(1, "stream")
        self._done = self._thread.submit(self._work, shapes, sections)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._arriving.over.set()
        self._thread.shutdown()

    def rows(self, rows: PartRows, part: Part, _: bytes) -> None:
        self._arriving.put((part.table, rows))

    @property
    def over(self) -> bool:
        """Whether it was given up, or written."""
        return self._arriving.over.is_set()

    def complete(self) -> None:
        self._arriving.put(None)

    def finish(self, sealed: Sealed) -> bool:
        """The batch is sealed: write it. True where it is applied now, False where it has to be sent."""
        self._arriving.put(sealed)
        try:
            self._done.result()
        except CdcSyncError as error:
            log.debug("a batch did not stream to %s: %s", self._database, error)
            return False
        apply.revive(self._database, self._policies)
        return True

    def _place(self) -> dict[str, object]:
        after = self._after
        return {"origin": after.origin, "epoch": after.epoch, "number": after.stored + 1}

    def _work(self, shapes: Sequence[Shape], sections: Sequence[Section]) -> None:
        try:
            with self._database.begin(Mode.WRITE) as session:
                if registry.role(session) != Role():
                    raise GivenUp("a relay keeps batches as they were sealed")
                if self._carrier is not None:
                    session.run("peer_lock", name=self._after.origin)
                if receive.locked_position(session, self._after.origin, self._after.epoch) != self._after:
                    raise GivenUp("batches wait to be applied first, or others than the origin's own are stored")
                renames = names.of(session, self._after.origin)
                sections = renames.sections(sections)
                apply.check_free(session, self._after.origin, self._after.epoch, {s.table for s in sections})
                tables = [section.table for section in sections]
                if apply.quiet(session, self._policies, tables):
                    raise GivenUp("triggers are to be quiet, which may keep other writers out for as long as it takes")
                with apply.writing(session, self._policies, tables):
                    batch = apply.Batch(
                        session,
                        renames.shapes(shapes),
                        sections,
                        apply.Bench(node=self._after.origin, policies=self._policies, place=self._place()),
                        flowing=True,
                    )
                    while isinstance(item := self._arriving.take(), tuple):
                        batch.load(renames.table(item[0]), item[1])
                    batch.write()
                sealed = self._arriving.take()
                if not isinstance(sealed, Sealed):
                    raise GivenUp("more rows came after the last")
                verdict, header = receive.admit(session, sealed, self._carrier)
                if verdict is not Verdict.STORE:
                    raise GivenUp("the batch does not follow the last one stored")
                with self._database.grouped(session):
                    receive.enter(session, header, sealed)
                    apply.finish(session, header)
        finally:
            self._arriving.over.set()
