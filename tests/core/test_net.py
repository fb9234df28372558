"""chains(): which changes belong to one row, held against rows that know who they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core.net import Event, Identity, chains


@dataclass
class Rows:
    """A table whose rows carry a name of their own, and the log that triggers would write of it."""

    stands: dict[int, int]
    """Row's own name to its identity."""
    log: list[tuple[int, Event]] = field(default_factory=list)
    """Row's own name, and the change logged for it."""

    def _log(self, row: int, op: str, was: int | None = None) -> None:
        old = None if was is None else (was,)
        self.log.append((row, Event(len(self.log) + 1, op, (self.stands[row],), old, here=False)))

    def insert(self, chance: Random) -> None:
        free = sorted(set(range(8)) - set(self.stands.values()))
        if free:
            row = 100 + len(self.log)
            self.stands[row] = chance.choice(free)
            self._log(row, "I")

    def delete(self, chance: Random) -> None:
        if self.stands:
            row = chance.choice(sorted(self.stands))
            self._log(row, "D")
            del self.stands[row]

    def move(self, chance: Random) -> None:
        """One row goes to a free place or stays; SQLite, which checks every row at once, knows no other moves."""
        if self.stands:
            row = chance.choice(sorted(self.stands))
            was = self.stands[row]
            self.stands[row] = chance.choice(sorted({was} | set(range(10)) - set(self.stands.values())))
            self._log(row, "K", was)

    def update(self, chance: Random) -> None:
        """One statement that moves many rows, into each other's places too, as deferrable keys allow on PostgreSQL.

        Its triggers log key changes row by row in any order, and at the statement's end every row once more.
        """
        rows = chance.sample(sorted(self.stands), chance.randint(0, len(self.stands)))
        others = {self.stands[row] for row in self.stands if row not in rows}
        places = chance.sample(sorted(set(range(10)) - others), len(rows))
        for row, place in zip(rows, places, strict=True):
            was, self.stands[row] = self.stands[row], place
            if was != place:
                self._log(row, "K", was)
        for row in rows:
            self._log(row, "U")

    def expected(self) -> dict[int, int]:
        first: dict[int, int] = {}
        return {event.seq: first.setdefault(row, event.seq) for row, event in self.log}

    def events(self) -> Iterator[Event]:
        return sealed((event for _, event in self.log), {(place,) for place in self.stands.values()})


def sealed(events: Iterable[Event], standing: set[Identity]) -> Iterator[Event]:
    """The events as a seal sends them: with what stands in the end."""
    return (event._replace(here=event.identity in standing, there=event.was in standing) for event in events)


def change(seq: int, op: str, identity: object, was: object = None) -> Event:
    return Event(seq, op, (identity,), None if was is None else (was,), here=False)


@given(st.lists(st.sampled_from(["insert", "delete", "move"]), max_size=12), st.integers(0, 5), st.randoms())
def test_every_change_leads_to_the_first_change_of_its_row(what: list[str], existing: int, chance: Random) -> None:
    rows = Rows({row: row for row in range(existing)})
    for name in what:
        getattr(rows, name)(chance)
    assert chains(rows.events()) == rows.expected()


@given(st.lists(st.sampled_from(["insert", "delete", "move", "update"]), max_size=12), st.integers(0, 5), st.randoms())
def test_rows_stay_apart_when_one_statement_moves_many(what: list[str], existing: int, chance: Random) -> None:
    rows = Rows({row: row for row in range(existing)})
    for name in what:
        getattr(rows, name)(chance)
    assert chains(rows.events()) == rows.expected()


def test_rows_that_all_move_up_by_one_stay_apart() -> None:
    """Rows 1 and 2 of old: nothing was logged of row 2 before row 1 took its place."""
    events = [change(1, "K", 2, 1), change(2, "K", 3, 2), change(3, "U", 2), change(4, "U", 3)]
    assert chains(sealed(events, {(2,), (3,)})) == {1: 1, 2: 2, 3: 1, 4: 2}


def test_two_rows_that_change_places_stay_apart() -> None:
    events = [change(1, "K", "b", "a"), change(2, "K", "a", "b"), change(3, "U", "b"), change(4, "U", "a")]
    assert chains(sealed(events, {("a",), ("b",)})) == {1: 1, 2: 2, 3: 1, 4: 2}


def test_a_row_that_moves_twice_is_one_row() -> None:
    events = [change(1, "K", 2, 1), change(2, "U", 2), change(3, "K", 3, 2), change(4, "U", 3)]
    assert chains(sealed(events, {(3,)})) == {1: 1, 2: 1, 3: 1, 4: 1}


def test_a_row_inserted_where_another_was_deleted_is_another_row() -> None:
    events = [change(1, "U", 1), change(2, "D", 1), change(3, "I", 1)]
    assert chains(sealed(events, {(1,)})) == {1: 1, 2: 1, 3: 3}


def test_a_key_change_that_leaves_the_identity_alone_moves_nothing() -> None:
    assert chains(sealed([change(1, "K", 1, 1), change(2, "U", 1)], {(1,)})) == {1: 1, 2: 1}


def test_an_update_that_a_cascade_logs_before_its_row_arrives_makes_no_row() -> None:
    """SQLite: a row that refers to itself is renumbered; the cascade writes it under its new number first."""
    events = [change(1, "I", 2), change(2, "U", 4), change(3, "K", 4, 2), change(4, "D", 4)]
    assert chains(sealed(events, set())) == {1: 1, 3: 1, 4: 1}


def test_an_update_that_is_logged_after_its_row_has_left_makes_no_row() -> None:
    """PostgreSQL: two cascades move a row twice, and the statement's trigger logs both images at the end."""
    events = [change(1, "K", 45, 55), change(2, "K", 44, 45), change(3, "U", 45), change(4, "U", 44)]
    assert chains(sealed(events, {(44,)})) == {1: 1, 2: 1, 4: 1}
