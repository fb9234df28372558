"""What cannot be applied waits as a letter, visibly, and nothing else waits with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc_sync import apply, databases
from cdc_sync.config import Config
from cdc_sync.core.letters import Letter, State
from tests.conftest import Make
from tests.nodes import Side, Tables, install, letters, received, replicate, write_config

CLINIC = """
create table subject (id {pk}, code varchar(20) not null unique, phone varchar(20) {unique}, age integer {check});
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    note text, unique (subject_id, number));
create table sample (id {pk}, visit_id integer not null references visit (id), tube varchar(10) not null,
    note text, unique (visit_id, tube));
"""
KEYS: Tables = {
    "subject": ["code"],
    "visit": ["subject_id", "number"],
    "sample": ["visit_id", "tube"],
}


def clinic(*, strict: bool) -> str:
    """A server checks ages and phone numbers; a laptop takes what it is given."""
    return CLINIC.replace("{check}", "check (age >= 0)" if strict else "").replace(
        "{unique}", "unique" if strict else ""
    )


class Clinic:
    """Laptops and a server; subject ``before`` was on every laptop before it captured anything."""

    def __init__(self, make_side: Make, tmp_path: Path, kinds: tuple[str, str]) -> None:
        self.make_side, self.folder, self.kinds = make_side, tmp_path, kinds
        self.server = make_side(kinds[1], "server")
        self.server.script(clinic(strict=True))
        self.laptops: dict[str, Side] = {}
        self.configs: dict[str, Config] = {}

    def laptop(self, name: str) -> Side:
        if name not in self.laptops:
            side = self.laptops[name] = self.make_side(self.kinds[0], name)
            side.script(clinic(strict=False))
            side.run("insert into subject (code, age) values ('before', 7)")
            self.configs[name] = write_config(self.folder, name, side, self.server, KEYS)
            install(self.configs[name])
        return self.laptops[name]

    def write(self, name: str, *statements: str) -> None:
        side = self.laptop(name)
        with side.transaction():
            for statement in statements:
                side.run(statement)

    def send(self, name: str, *statements: str) -> dict[str, int]:
        """Write, replicate, and return what is put aside at the server for this laptop."""
        self.write(name, *statements)
        (delivered,) = replicate(self.configs[name])
        return dict(delivered.waiting)

    def letters(self) -> list[Letter]:
        return letters(self.server)

    def retry(self) -> int:
        with databases.connect(self.server.url) as server:
            return apply.retry(server, self.letters(), self.configs["one"].policies)

    def codes(self) -> set[str]:
        return {code for (code,) in self.server.rows("select code from subject")}

    def visits(self) -> set[tuple[object, ...]]:
        return set(
            self.server.rows("select s.code, v.number, v.note from visit v join subject s on s.id = v.subject_id")
        )


@pytest.fixture(params=["sqlite-sqlite", "sqlite-postgresql", "postgresql-sqlite", "postgresql-postgresql"])
def field(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Iterator[Clinic]:
    source, target = request.param.split("-")
    yield Clinic(make_side, tmp_path, (source, target))


ORPHAN = "insert into visit (subject_id, number, note) values (1, 1, 'early')"


def test_a_row_whose_parent_has_not_arrived_waits_alone(field: Clinic) -> None:
    waiting = field.send("one", ORPHAN, "insert into subject (code, age) values ('new', 30)")
    assert waiting == {"deferred": 1}
    assert field.codes() == {"new"}
    (letter,) = field.letters()
    assert (letter.state, letter.table, letter.awaits, letter.origin) == (State.DEFERRED, "visit", "subject", "one")
    assert field.send("one", "insert into visit (subject_id, number) values (2, 5)") == {"deferred": 1}
    assert field.visits() == {("new", 5, None)}


def test_it_is_applied_by_itself_when_another_node_brings_the_parent(field: Clinic) -> None:
    field.send("one", ORPHAN)
    assert (
        field.send("two", "insert into subject (code) values ('else')", "update subject set age = 8 where id = 1") == {}
    )
    assert field.visits() == {("before", 1, "early")}
    assert field.letters() == []
    assert field.send("one", "update visit set note = 'late'") == {}
    assert field.visits() == {("before", 1, "late")}


def test_a_child_of_a_waiting_row_waits_with_it_and_both_arrive_in_the_end(field: Clinic) -> None:
    assert field.send("one", ORPHAN, "insert into sample (visit_id, tube) values (1, 'red')") == {"deferred": 2}
    assert {(letter.table, letter.awaits) for letter in field.letters()} == {("visit", "subject"), ("sample", "visit")}
    field.send("two", "update subject set age = 8 where id = 1")
    assert field.letters() == []
    assert field.server.rows("select tube from sample") == [("red",)]


def test_later_changes_of_a_waiting_row_queue_behind_it_and_nothing_else_does(field: Clinic) -> None:
    field.send("one", ORPHAN)
    assert field.send("one", "update visit set note = 'second'", "insert into subject (code) values ('free')") == {
        "deferred": 1
    }
    assert field.send("one", "update visit set number = 2") == {"deferred": 1}
    assert field.codes() == {"free"}
    field.send("two", "update subject set age = 8 where id = 1")
    assert field.visits() == {("before", 2, "second")}


def test_a_waiting_row_that_is_deleted_at_its_origin_waits_no_more(field: Clinic) -> None:
    field.send("one", ORPHAN)
    assert field.send("one", "delete from visit") == {}
    assert field.letters() == []
    field.send("two", "update subject set age = 8 where id = 1")
    assert field.visits() == set()


def test_an_identity_used_again_after_a_waiting_row_was_deleted_is_another_row(field: Clinic) -> None:
    field.send("one", ORPHAN)
    waiting = field.send(
        "one",
        "insert into subject (id, code) values (5, 'five')",
        "delete from visit",
        "insert into visit (id, subject_id, number) values (1, 5, 9)",
    )
    assert waiting == {}
    assert field.visits() == {("five", 9, None)}


BAD = "insert into subject (id, code, age) values (9, 'bad', -1)"


def test_a_row_that_the_server_refuses_is_a_dead_letter_and_the_others_are_applied(field: Clinic) -> None:
    good = [f"insert into subject (id, code, age) values ({i}, 'good {i}', {i})" for i in range(20, 40)]
    assert field.send("one", *good[:10], BAD, *good[10:]) == {"dead": 1}
    assert field.codes() == {f"good {i}" for i in range(20, 40)}
    (letter,) = field.letters()
    assert letter.code in ("23514", "SQLITE_CONSTRAINT_CHECK")
    assert letter.table == "subject"
    assert letter.number == 1
    assert "bad" not in letter.message
    assert received(field.configs["one"], field.server).applied == 1


def test_children_of_a_dead_letter_are_deferred(field: Clinic) -> None:
    assert field.send("one", BAD, "insert into visit (subject_id, number) values (9, 1)") == {"dead": 1, "deferred": 1}


def test_a_dead_letter_is_applied_once_its_row_is_corrected_at_its_origin(field: Clinic) -> None:
    field.send("one", BAD, "insert into visit (subject_id, number) values (9, 1)")
    assert field.send("one", "update subject set age = 1 where code = 'bad'") == {}
    assert field.codes() == {"bad"}
    assert field.visits() == {("bad", 1, None)}


def test_a_dead_letter_stays_dead_while_its_row_stays_wrong(field: Clinic) -> None:
    field.send("one", BAD)
    (before,) = field.letters()
    assert field.send("one", "update subject set age = -2 where code = 'bad'") == {"dead": 1}
    (after,) = field.letters()
    assert (after.seq, after.noted_at) == (before.seq, before.noted_at)


def test_several_refused_rows_are_each_put_aside_with_an_error_of_its_own(field: Clinic) -> None:
    field.send("one", "insert into subject (id, code, phone) values (3, 'owner', '555')")
    waiting = field.send(
        "one",
        BAD,
        "insert into subject (id, code, phone) values (10, 'thief', '555')",
        "insert into subject (id, code, age) values (11, 'worse', -5)",
        "insert into subject (id, code) values (12, 'fine')",
    )
    assert waiting == {"dead": 2, "held": 1}
    assert field.codes() == {"owner", "fine"}
    codes = sorted(letter.code for letter in field.letters())
    assert codes in (["23505", "23514", "23514"], ["SQLITE_CONSTRAINT_CHECK"] * 2 + ["SQLITE_CONSTRAINT_UNIQUE"])


def test_values_that_change_hands_do_so_although_another_row_of_their_batch_is_refused(field: Clinic) -> None:
    field.send(
        "one",
        "insert into subject (id, code, phone) values (3, 'a', '1')",
        "insert into subject (id, code, phone) values (4, 'b', '2')",
    )
    waiting = field.send(
        "one",
        "update subject set phone = null where id = 3",
        "update subject set phone = '1' where id = 4",
        "update subject set phone = '2' where id = 3",
        BAD,
    )
    assert waiting == {"dead": 1}
    assert set(field.server.rows("select code, phone from subject")) == {("a", "2"), ("b", "1")}


def test_a_delete_that_a_foreign_key_forbids_waits_and_is_applied_once_nothing_points_there(field: Clinic) -> None:
    field.send("one", "update subject set age = 8 where id = 1", "insert into subject (code) values ('other')")
    field.server.run("insert into visit (subject_id, number) select id, 77 from subject where code = 'before'")
    assert field.send("one", "delete from subject where id = 1", "update subject set age = 3 where id = 2") == {
        "deferred": 1
    }
    assert field.codes() == {"before", "other"}
    field.server.run("delete from visit")
    assert field.send("one", "update subject set age = 4 where id = 2") == {}
    assert field.codes() == {"other"}


def test_a_retry_applies_what_can_be_applied_by_now(field: Clinic) -> None:
    field.send("one", ORPHAN)
    assert field.retry() == 0
    field.server.run("insert into subject (code) values ('before')")
    assert field.retry() == 1
    assert field.letters() == []
    assert field.visits() == {("before", 1, "early")}


LONG = "x" * 30


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
def test_a_value_that_the_server_cannot_even_stage_is_a_dead_letter_until_it_is_corrected(
    make_side: Make, tmp_path: Path, source: str
) -> None:
    field = Clinic(make_side, tmp_path, (source, "postgresql"))
    field.laptop("one")
    if source == "postgresql":
        field.laptop("one").run("alter table subject alter column code type text")
    waiting = field.send(
        "one",
        "insert into subject (id, code) values (3, 'a')",
        f"insert into subject (id, code) values (4, '{LONG}')",
        "insert into subject (id, code) values (5, 'b')",
        f"insert into subject (id, code) values (6, '{LONG}2')",
    )
    assert waiting == {"dead": 2}
    assert field.codes() - {"before"} == {"a", "b"}
    assert all("'code'" in letter.message for letter in field.letters())
    assert field.send("one", "update subject set code = 'short' where id = 4") == {"dead": 1}
    assert field.codes() - {"before"} == {"a", "b", "short"}


def test_a_value_that_cannot_be_held_does_not_matter_where_the_batch_corrects_it(
    make_side: Make, tmp_path: Path
) -> None:
    field = Clinic(make_side, tmp_path, ("sqlite", "postgresql"))
    field.send("one", "insert into subject (id, code) values (3, 'a')")
    waiting = field.send(
        "one", f"update subject set code = '{LONG}' where id = 3", "update subject set code = 'c' where id = 3"
    )
    assert waiting == {}
    assert field.codes() == {"c"}


def test_a_thousand_waiting_rows_arrive_together(field: Clinic) -> None:
    side = field.laptop("one")
    side.many("insert into visit (subject_id, number) values (1, ?)", [(i,) for i in range(1000)])
    assert field.send("one") == {"deferred": 1000}
    field.send("two", "update subject set age = 8 where id = 1")
    assert len(field.visits()) == 1000
    assert field.letters() == []
