"""A batch on its way into the target's tables."""

from collections.abc import Mapping, Sequence

from cdc_sync import own
from cdc_sync.apply.judge import Bench
from cdc_sync.apply.work import Stage, Work
from cdc_sync.core import skew
from cdc_sync.core.change import Shape, Shapes, Table
from cdc_sync.core.keys import parents_first
from cdc_sync.core.wire import PartRows, Section
from cdc_sync.databases import Session, versions


class Batch:
    """One batch on its way into the target's tables: its rows are loaded part by part, then written in one go."""

    def __init__(
        self,
        session: Session,
        shapes: Sequence[Shape],
        sections: Sequence[Section],
        bench: Bench,
        scratch: str = "cdc_sync_",
    ) -> None:
        named = {shape.name: shape for shape in shapes}
        described = session.database.describe(session, sorted(named))
        fitted = skew.fitted(named, [section.table for section in sections], described, str(session.database))
        targets = {name: session.database.table(table) for name, table in described.items()}
        self.stage = Stage(
            session=session,
            sent=named,
            shapes=fitted,
            order=[name for name in parents_first(named) if name in fitted],
            described=described,
            targets=targets,
            bench=bench,
            versions=_versions(session, named, described, [section.table for section in sections]),
        )
        ordered = sorted(sections, key=lambda section: self.stage.order.index(section.table))
        self.work = {section.table: Work(self.stage, section, f"{scratch}{i}_") for i, section in enumerate(ordered)}

    def load(self, table: str, rows: PartRows, *, keyed: bool | None = None) -> None:
        """Stage a part's rows; each table's come in the order of its parts.

        ``keyed`` is said of rows from another section (see ``Section.keyed``).
        """
        work = self.work[table]
        work.load(rows, keyed=work.section.keyed if keyed is None else keyed)

    def write(self) -> None:
        """Find what is deleted or renamed while all old keys hold; then write parents first, delete children first."""
        work = list(self.work.values())
        for item in work:
            item.settle()
        for item in work:
            item.mark()
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
            item.stamp()


def _versions(session: Session, shapes: Shapes, described: Mapping[str, Table], names: Sequence[str]) -> dict[str, str]:
    """The tables of versions of these tables, made where they are not there yet."""
    known = {table: (name, declared) for table, name, declared in session.run("versioned")}
    found = {
        name: versions.prepared(session, known, described[name], described[name].told_apart_by(shapes[name].key))
        for name in names
    }
    own.note_unsealed(session, found, described)
    return found
