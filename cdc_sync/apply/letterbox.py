"""Where letters lie: what is put aside is written down here, and read again when it may be applied."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cdc_sync.apply import names, records
from cdc_sync.apply.ladder import Ladder
from cdc_sync.apply.refusals import Aside
from cdc_sync.core.conflicts import Outcome
from cdc_sync.core.layout import layout
from cdc_sync.core.letters import Letter, State, joined, read_row, single_rows
from cdc_sync.core.wire import Encoding, PartRows
from cdc_sync.databases import Session


def read(rows: Iterable[tuple[object, ...]]) -> list[Letter]:
    """Letters as the ``letters`` queries give them."""
    return [_letter(*row) for row in rows]


def _letter(*row: object) -> Letter:
    id_, origin, epoch, number, table, seq, state, awaits, standing, code, message, hint, noted_at = row
    return Letter(
        id=int(str(id_)),
        origin=str(origin),
        epoch=str(epoch),
        number=int(str(number)),
        table=str(table),
        seq=int(str(seq)),
        state=State(str(state)),
        awaits=str(awaits),
        standing=None if standing is None else str(standing),
        code=str(code),
        message=str(message),
        hint=str(hint),
        noted_at=str(noted_at),
    )


def of(session: Session, origin: str, epoch: str) -> list[Letter]:
    """The origin's letters that wait, in the order of their changes."""
    return read(session.run("letters_of", origin=origin, epoch=epoch))


@dataclass(slots=True)
class Taken:
    """Letters that are tried again, and leave the box: what is put aside of them comes back as a new letter."""

    letters: list[Letter] = field(default_factory=list)

    def stage(self, session: Session, ladder: Ladder) -> None:
        """Stage the letters' changes, those of one table and make together."""
        found: defaultdict[tuple[str, bool, Encoding], list[PartRows]] = defaultdict(list)
        for letter in self.letters:
            encoding, keyed, _, data = session.run("letter_rows", id=letter.id)[0]
            found[letter.table, bool(keyed), encoding].append(PartRows(encoding=encoding, data=bytes(data)))
        for (table, keyed, _), rows in found.items():
            ladder.load(table, joined(rows), keyed=keyed)

    def post(self, session: Session, place: Mapping[str, object], asides: Iterable[Aside]) -> Counter[State]:
        """Write down what was put aside, under the batch that ``place`` names; returns how many of each state."""
        since = {(letter.table, letter.seq): letter.noted_at for letter in self.letters}
        left = list(asides)
        session.run_many("letter_remove", [{"id": letter.id} for letter in self.letters])
        self._settle(session, {(aside.table, aside.seq) for aside in left})
        now = _now()
        letters = [_binds(place, aside, since.get((aside.table, aside.seq), now)) for aside in left]
        session.run_many("letter_add", letters)
        news = ((a.record, a.seq) for a in left if a.record is not None and (a.table, a.seq) not in since)
        records.write(session, place, [replace(found, met=replace(found.met, seq=seq)) for found, seq in news])
        return Counter(aside.reason.state for aside in left)

    def _settle(self, session: Session, left: Set[tuple[str, int]]) -> None:
        """Letters that wait no more have had their conflicts decided."""
        for letter in self.letters:
            if (letter.table, letter.seq) not in left and letter.state is State.HELD:
                settle(session, letter, Outcome.SOURCE)


def settle(session: Session, letter: Letter, outcome: Outcome) -> None:
    """What was held is decided."""
    place = {"origin": letter.origin, "epoch": letter.epoch, "table_name": letter.table, "seq": letter.seq}
    session.run("conflict_decide", **place, outcome=outcome.value)


def _binds(place: Mapping[str, object], aside: Aside, noted_at: str) -> dict[str, object]:
    return {
        **place,
        "table_name": aside.table,
        "seq": aside.seq,
        "state": aside.reason.state.value,
        "awaits": aside.reason.awaits,
        "standing": aside.standing,
        "code": aside.reason.code,
        "message": str(aside.reason.error),
        "hint": aside.reason.error.hint,
        "encoding": aside.rows.encoding,
        "keyed": aside.keyed,
        "counts": json.dumps(dict(aside.counts)),
        "data": aside.rows.data,
        "noted_at": noted_at,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def changes(session: Session, letter: Letter) -> list[tuple[str, dict[str, object]]]:
    """A letter's changes in order: operation, and the row's values by column, as they arrived. For people to read."""
    encoding, keyed, _, data = session.run("letter_rows", id=letter.id)[0]
    header = names.header_of(session, letter.origin, letter.epoch, letter.number)
    shapes = {shape.name: shape for shape in header.shapes}
    laid = layout(shapes, letter.table, keyed=bool(keyed))
    read_rows = [read_row(row, laid) for row in single_rows(PartRows(encoding=encoding, data=bytes(data)))]
    return [(str(row["op"]), {c.column: row[c.name] for c in laid.values}) for row in read_rows]
