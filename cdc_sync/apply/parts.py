"""A stored batch, and letters, applied in parts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from cdc_sync.apply import letterbox
from cdc_sync.apply.ladder import Ladder
from cdc_sync.apply.letterbox import Taken
from cdc_sync.apply.whole import Applied, finish, header_of, next_header, parts, place_of, writing
from cdc_sync.core.conflicts import Outcome, Policies
from cdc_sync.core.letters import Letter, State
from cdc_sync.core.wire import Header
from cdc_sync.databases import Database, Mode, Session
from cdc_sync.receive import locked_position


def apply_in_parts(database: Database, origin: str, epoch: str, policies: Policies) -> Applied | None:
    """Apply the origin's next stored batch as far as it can be; the rest is put aside."""
    with database.begin(Mode.WRITE) as session:
        header = next_header(session, origin, epoch)
        if header is None:
            return None
        lying = [table for (table,) in session.run("letters_lie", origin=origin, epoch=epoch)]
        with writing(session, policies, [*lying, *(section.table for section in header.sections)]):
            aside = _climb(session, header, policies)
        finish(session, header)
        return Applied(number=header.number, rows=header.rows, aside=aside)


def _climb(session: Session, header: Header, policies: Policies) -> Counter[State]:
    box = letterbox.of(session, header.node, header.epoch)
    shapes = _fingerprints(session, box)
    alike = {letter.id for letter in box if shapes[letter.id] == header.fingerprint}
    sections = {section.table: section for section in header.sections}
    tables = sorted(sections.keys() | {letter.table for letter in box if letter.id in alike})
    ladder = Ladder(session, header.shapes, tables, place_of(header), policies)
    for part, rows in parts(session, header):
        ladder.load(part.table, rows, keyed=sections[part.table].keyed)
    taken, waiting = Taken(), defaultdict[str, set[str]](set)
    touched = _touched(ladder, box)
    for letter in box:
        if letter.id in alike and (letter.id in touched or letter.awaits in sections):
            taken.letters.append(letter)
        elif letter.standing is not None and letter.table in sections:
            waiting[letter.table].add(letter.standing)
    taken.stage(session, ladder)
    ladder.number()
    ladder.block(waiting)
    ladder.climb()
    return taken.post(session, place_of(header), ladder.left())


def _fingerprints(session: Session, letters: Collection[Letter]) -> dict[int, bytes]:
    """What the shapes were, by letter, that letters of one origin were sealed under."""
    batches = {(letter.origin, letter.epoch, letter.number) for letter in letters}
    found = {batch: header_of(session, *batch).fingerprint for batch in batches}
    return {letter.id: found[letter.origin, letter.epoch, letter.number] for letter in letters}


def _touched(ladder: Ladder, box: Sequence[Letter]) -> set[int]:
    """Letters about rows of which the batch speaks too."""
    found: set[int] = set()
    for table in {letter.table for letter in box} & set(ladder.raw.work):
        spoken_of = ladder.spoken_of(table)
        found |= {letter.id for letter in box if letter.table == table and letter.standing in spoken_of}
    return found


def revive(database: Database, policies: Policies, *, all_waiting: bool = False) -> int:
    """Try again what waits for something that may have come; returns how many rows were applied.

    That is rows whose parents were missing; with ``all_waiting`` those too that some other row was in the way of, which
    are tried one by one.
    """
    with database.begin(Mode.READ) as session:
        origins = session.run("letters_awaiting")
    total, done = 0, 1
    while origins and done:
        done = sum(
            _retried(database, origin, epoch, policies, _waits if all_waiting else _awaits) for origin, epoch in origins
        )
        total += done
    return total


def _awaits(letter: Letter) -> bool:
    return bool(letter.awaits)


def _waits(letter: Letter) -> bool:
    return letter.state is not State.DEAD


def retry(database: Database, wanted: Iterable[Letter], policies: Policies) -> int:
    """Try these letters again, with others about the same rows; returns how many are applied."""
    rows = {_row(letter) for letter in wanted}
    origins = sorted({(origin, epoch) for origin, epoch, *_ in rows})
    return sum(
        _retried(database, origin, epoch, policies, lambda letter: _row(letter) in rows) for origin, epoch in origins
    )


def _row(letter: Letter) -> tuple[str, ...]:
    """What the letters about one row have in common."""
    return (letter.origin, letter.epoch, letter.table, letter.standing or f"gone {letter.id}")


class _InVain(Exception):
    """Nothing was applied: everything stays as it was."""


def _retried(database: Database, origin: str, epoch: str, policies: Policies, wanted: Callable[[Letter], bool]) -> int:
    done = 0
    with database.begin(Mode.READ) as session:
        generations = _generations(
            session, [letter for letter in letterbox.of(session, origin, epoch) if wanted(letter)]
        )
    for group in generations:
        try:
            with database.begin(Mode.WRITE) as session:
                locked_position(session, origin, epoch)
                letters = [letter for letter in letterbox.of(session, origin, epoch) if letter.id in group]
                with writing(session, policies, {letter.table for letter in letters}):
                    done += _again(session, letters, policies)
        except _InVain:
            continue
    return done


def _generations(session: Session, letters: Collection[Letter]) -> list[set[int]]:
    """Letters by the shapes that they were sealed under, the oldest first."""
    groups: dict[bytes, set[int]] = {}
    for id_, shapes in _fingerprints(session, letters).items():
        groups.setdefault(shapes, set()).add(id_)
    return list(groups.values())


def _again(session: Session, letters: Sequence[Letter], policies: Policies) -> int:
    if not letters:
        raise _InVain
    header = header_of(session, letters[0].origin, letters[0].epoch, max(letter.number for letter in letters))
    tables = sorted({letter.table for letter in letters})
    ladder, taken = Ladder(session, header.shapes, tables, place_of(header), policies), Taken(list(letters))
    taken.stage(session, ladder)
    ladder.number()
    ladder.block({})
    ladder.climb()
    posted = taken.post(session, place_of(header), ladder.left())
    done = len(letters) - posted.total()
    if done <= 0:
        raise _InVain
    return done


def decide(database: Database, letter: Letter, policies: Policies, *, for_source: bool) -> bool:
    """Settle a held conflict: the source's version is written, or given up. False where it cannot be written."""
    if for_source:
        return bool(retry(database, [letter], replace(policies, decided=True)))
    with database.begin(Mode.WRITE) as session:
        locked_position(session, letter.origin, letter.epoch)
        for other in letterbox.of(session, letter.origin, letter.epoch):
            if _row(other) == _row(letter):
                session.run("letter_remove", id=other.id)
                letterbox.settle(session, other, Outcome.TARGET)
    return True
