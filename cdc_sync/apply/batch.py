"""A batch on its way into the target's tables."""

from collections.abc import Sequence

from cdc_sync import own
from cdc_sync.apply.judge import Bench
from cdc_sync.apply.work import Stage, Work
from cdc_sync.core import skew
from cdc_sync.core.change import Shape
from cdc_sync.core.conflicts import Policies
from cdc_sync.core.views import landing
from cdc_sync.core.views.landing import Landed
from cdc_sync.core.wire import PartRows, Section
from cdc_sync.databases import Session, versions
from cdc_sync.errors import CdcSyncError

FLOW = 8 * 1024 * 1024
"""Bytes of new rows after which they are written, where they may be before the batch is whole: so that writing overlaps
with reading. 500,000 rows took 5.7 s in series, 4.2 s so.
"""


class NotFlowing(CdcSyncError):
    """Rows of a batch that were taken for new ones are not, or something else keeps them from being written at once."""


class Batch:
    """One batch on its way into the target's tables: its rows are loaded part by part, then written in one go."""

    def __init__(
        self,
        session: Session,
        shapes: Sequence[Shape],
        sections: Sequence[Section],
        bench: Bench,
        scratch: str = "cdc_sync_",
        *,
        flowing: bool = False,
    ) -> None:
        named = {shape.name: shape for shape in shapes}
        names, where = [section.table for section in sections], str(session.database)
        landed = landing.land(named, session.database.describe(session, sorted(named)))
        landed.check(names, where)
        fitted = skew.fitted(landed.shapes, names, landed.described, where)
        self.stage = Stage(
            session=session,
            landed=landed,
            shapes=fitted,
            order=[name for name in landed.order() if name in fitted],
            targets={name: session.database.table(table) for name, table in landed.described.items()},
            bench=bench,
            versions=_versions(session, landed, names, bench.policies),
        )
        ordered = sorted(sections, key=lambda section: self.stage.order.index(section.table))
        self.work = {section.table: Work(self.stage, section, f"{scratch}{i}_") for i, section in enumerate(ordered)}
        self._flowing = flowing and all(work.flows for work in self.work.values())
        self._staged: dict[str, int] = {}

    def load(self, table: str, rows: PartRows, *, keyed: bool | None = None) -> None:
        """Stage a part's rows; each table's come in the order of its parts.

        ``keyed`` is said of rows from another section (see ``Section.keyed``). Raises NotFlowing where some cannot be
        written ahead: nothing of the batch may be kept then.
        """
        work = self.work[table]
        work.load(rows, keyed=work.section.keyed if keyed is None else keyed)
        if self._flowing:
            self._flow(table, len(rows.data))

    def _flow(self, table: str, size: int) -> None:
        """Write what is staged once it is much, parents first."""
        self._staged[table] = self._staged.get(table, 0) + size
        if self._staged[table] < FLOW:
            return
        for name in self.work:
            if self._staged.pop(name, 0) and not self.work[name].flow():
                raise NotFlowing(f"rows of table {name!r} are not all new, or some cannot be written")

    def write(self) -> None:
        """Find what is deleted or renamed while all old keys hold; then write parents first, delete children first."""
        work = list(self.work.values())
        for item in work:
            item.settle()
        for item in work:
            item.take_over(work)
        for item in work:
            item.mark()
        for item in work:
            item.move(work)
        renamed = {item.section.table for item in work if item.section.counts.get("K")}
        for item in reversed(work):
            item.withdraw(renamed)
        for item in work:
            item.write()
        for item in work:
            item.point_forward()
        for item in reversed(work):
            item.delete()
        for item in work:
            item.check()
        for item in work:
            item.stamp()


def _versions(session: Session, landed: Landed, names: Sequence[str], policies: Policies) -> dict[str, str]:
    """The tables of versions of these tables, made where they are not there yet."""
    known = {table: (name, declared) for table, name, declared in session.run("versioned")}
    shapes, described = landed.shapes, landed.described
    found = {
        name: versions.prepared(session, known, described[name], described[name].told_apart_by(shapes[name].key))
        for name in names
    }
    own.note_unsealed(session, found, landed, policies)
    return found
