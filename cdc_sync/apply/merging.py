"""Column-wise merge: where two nodes changed different columns of a row, both changes stand.

A three-way merge needs what both sides started from. That is the image which the origin sent last, kept beside the
versions for tables whose file says ``merge = "columns"``: a column that the origin has not changed since then keeps the
target's value. Columns of the natural key and references are never merged.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation

import sqlalchemy as sa

from cdc_sync.core.change import Kind
from cdc_sync.core.conflicts import Outcome
from cdc_sync.core.keys import owner
from cdc_sync.databases import Session, images
from cdc_sync.databases.base import constant
from cdc_sync.databases.writing import Writer

Image = Mapping[str, object]


class Merger:
    """Merges one table's staged rows of one origin (``node``) with what stands at the target."""

    writer: Writer

    def __init__(self, session: Session, node: str) -> None:
        self.session = session
        self.node = node
        self.sent: dict[int, str] = {}

    def look(self, writer: Writer) -> None:
        """See what the origin sent last, and where the target's rows stand that staged ones are about."""
        self.writer = writer
        self.bases = dict(self.session.run("bases", table_name=writer.name, origin=self.node))
        self.places = self._places()

    def merge(
        self,
        seqs: Iterable[int],
        sources: Mapping[int, str],
        targets: Mapping[int, str],
        decided: Callable[[int], Outcome],
    ) -> dict[int, Outcome]:
        """Staged rows take over what only the target has changed; ``decided`` says who wins a column that both did.

        Returns the outcome for rows of which it is known what the origin sent last; the others are not merged.
        """
        kept: defaultdict[str, list[int]] = defaultdict(list)
        outcomes: dict[int, Outcome] = {}
        for seq in seqs:
            self.sent[seq] = sources[seq]
            base = self.bases.get(self.places.get(seq, ""))
            if base is None:
                continue
            columns, contested = self._compare(json.loads(base), json.loads(sources[seq]), json.loads(targets[seq]))
            outcome = decided(seq) if contested else Outcome.MERGED
            if outcome is Outcome.TARGET:
                columns = [*columns, *contested]
            for column in columns:
                kept[column].append(seq)
            outcomes[seq] = outcome if outcome is Outcome.HELD else Outcome.MERGED
        for column, rows in kept.items():
            self._take_over(column, rows)
        return outcomes

    def _compare(self, base: Image, source: Image, target: Image) -> tuple[list[str], list[str]]:
        """The columns in which only the target went on from the base, and those in which both did, and differ."""
        known = [column for column in self._plain() if column in base]
        theirs = [c for c in known if not self._same(c, target[c], base[c])]
        ours = {c for c in known if not self._same(c, source[c], base[c])}
        kept = [c for c in theirs if c not in ours]
        return kept, [c for c in theirs if c in ours and not self._same(c, source[c], target[c])]

    def _same(self, column: str, one: object, other: object) -> bool:
        """Whether two values are one, whatever scale a decimal is written with."""
        if one == other or None in (one, other):
            return one == other
        if self.writer.shapes[self.writer.name].kind(column) is not Kind.NUMERIC:
            return False
        try:
            return Decimal(str(one)) == Decimal(str(other))
        except InvalidOperation:
            return False

    def _plain(self) -> Iterable[str]:
        shape = self.writer.shapes[self.writer.name]
        return (c for c in shape.names if c not in shape.key and c not in shape.identity and owner(shape, c) is None)

    def _take_over(self, column: str, seqs: list[int]) -> None:
        writer, resolved = self.writer, self.writer.resolved()
        staged = writer.staging.c[writer.layout.value(column)]
        rows = sa.and_(
            writer.staging.c.seq.in_([constant(seq) for seq in seqs]),
            resolved.c.seq == writer.staging.c.seq,
            writer.same_key(writer.target, resolved),
        )
        self.session.execute(sa.update(writer.staging).values({staged: writer.target.c[column]}).where(rows))

    def remember(self) -> None:
        """Keep what the origin sent of rows that stand at the target."""
        images_now = {
            seq: images.text(self.writer, values) for seq, *values in self.session.query(images.all_came(self.writer))
        }
        key = {"table_name": self.writer.name, "origin": self.node}
        sent = images_now | {seq: image for seq, image in self.sent.items() if seq in images_now}
        rows = [{**key, "row_key": place, "image": sent[seq]} for seq, place in self.places.items()]
        self.session.run_many("base_set", rows)

    def _places(self) -> dict[int, str]:
        """Where the target's rows stand that staged ones are about."""
        writer, resolved = self.writer, self.writer.resolved()
        locator = [self.session.database.apart(writer.target.c[column]) for column in writer.locator]
        rows = resolved.join(writer.target, writer.same_key(writer.target, resolved))
        found = self.session.query(sa.select(resolved.c.seq, *locator).select_from(rows))
        return {seq: json.dumps([images.shown(value) for value in place]) for seq, *place in found}
