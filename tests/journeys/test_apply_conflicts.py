"""Conflicts as the field has them: late, twice, round in circles, and about values beside the key."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import databases, ship
from cdc_sync.config import Config
from tests.conftest import Make
from tests.journeys.test_conflicts import Conflict, Field
from tests.nodes import Shape, Side, by_natural_key, install, letters, replicate, waiting, write_config

KINDS = pytest.mark.parametrize("kinds", [("sqlite", "postgresql"), ("postgresql", "sqlite")], ids="-".join)
INSERT = "insert into subject (id, code, note) values (1, 's', '{}')"


def both(field: Field) -> None:
    """A subject that both laptops have, and the server as laptop one has it; all that in January."""
    for name in ("two", "one"):
        field.write(name, INSERT.format(name))
        field.captured(name, f"2026-01-0{1 if name == 'two' else 2} 10:00:00")
        field.send(name)
    assert field.notes() == {"s": "one"}


@KINDS
@pytest.mark.parametrize("newer", ["update", "delete"])
@pytest.mark.parametrize("first", ["update", "delete"])
def test_an_update_and_a_delete_come_to_the_same_in_both_orders(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], first: str, newer: str
) -> None:
    """symmetricds 37: the newer of the two stands, whichever arrives first."""
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    both(field)
    field.write("one", "update subject set note = 'updated'")
    field.write("two", "delete from subject")
    times = {newer: "2026-02-02 10:00:00", {"update": "delete", "delete": "update"}[newer]: "2026-02-01 10:00:00"}
    field.captured("one", times["update"])
    field.captured("two", times["delete"])
    for name in ("one", "two") if first == "update" else ("two", "one"):
        assert field.send(name) == {}
    assert field.notes() == ({"s": "updated"} if newer == "update" else {})


@KINDS
@pytest.mark.parametrize("there", [True, False], ids=["the row was there", "it was not"])
def test_a_row_that_is_older_than_its_deletion_does_not_come_back(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], there: bool
) -> None:
    """symmetricds 37 and 42: also where the server did not know the row when it heard of the deletion."""
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    field.write("one", INSERT.format("one"))
    field.captured("one", "2026-02-01 10:00:00")
    field.write("two", INSERT.format("two"))
    field.captured("two", "2026-01-01 10:00:00")
    field.send("two")
    if not there:
        field.server.run("delete from subject")
    field.write("two", "delete from subject")
    field.captured("two", "2026-02-02 10:00:00")
    field.send("two")
    assert field.send("one") == {}
    assert field.notes() == {}
    assert field.conflicts()[-1] == Conflict("update_missing", "one", "", "target")
    field.send("one", "update subject set note = 'newer'")
    assert field.notes() == {"s": "newer"}


@KINDS
@pytest.mark.parametrize("skew", ["a day behind", "a day ahead"])
def test_a_clock_that_is_a_day_wrong_loses_or_waits_and_never_wins_unseen(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], skew: str
) -> None:
    """symmetricds 38: behind, the change is older than what it meets; ahead, nobody believes it."""
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    both(field)
    field.send("one", "update subject set note = 'just now'")
    field.write("two", "update subject set note = 'two'")
    field.captured("two", _from_now(field.server, -1 if skew == "a day behind" else 1))
    assert field.send("two") == ({} if skew == "a day behind" else {"held": 1})
    assert field.notes() == {"s": "just now"}
    assert field.conflicts()[-1].outcome == ("target" if skew == "a day behind" else "held")


def _from_now(side: Side, days: int) -> str:
    if side.kind == "postgresql":
        query = f"select to_char(now() at time zone 'UTC' + interval '{days} day', 'YYYY-MM-DD HH24:MI:SS')"
    else:
        query = f"select strftime('%Y-%m-%d %H:%M:%S', 'now', '{days} day')"
    return str(side.rows(query)[0][0])


@KINDS
def test_a_laptop_that_was_away_for_long_meets_rows_whose_batches_are_gone_everywhere(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    """symmetricds 39: versions stay with the rows; no log is needed to know who wrote one."""
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    both(field)
    field.write("two", "update subject set note = 'long ago'")
    field.captured("two", "2026-02-01 10:00:00")
    field.send("one", "update subject set note = 'since then'")
    for i in range(3):
        field.send("one", f"insert into subject (id, code) values ({i + 10}, 'x{i}')")
    ours = "cdc_sync." if kinds[1] == "postgresql" else "cdc_sync_"
    assert field.server.rows(f"select * from {ours}inbox_part") == []
    field.server.run(f"delete from {ours}conflict")
    assert field.send("two") == {}
    assert field.notes()["s"] == "since then"
    assert field.conflicts() == [Conflict("update_origin_differs", "two", "one", "target")]


@KINDS
def test_a_key_that_is_deleted_and_entered_again_across_batches_is_its_owners_row(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    """symmetricds 25, postgres-cdc 34: by one laptop and then by the other."""
    field = Field(make_side, tmp_path, kinds, "source_wins")
    field.send("one", INSERT.format("first"))
    for note in ("second", "third"):
        field.send("one", "delete from subject")
        assert field.notes() == {}
        field.send("one", INSERT.format(note))
        assert field.notes() == {"s": note}
    assert field.conflicts() == []
    field.send("one", "delete from subject")
    field.send("two", INSERT.format("two"), "insert into visit (subject_id, number) values (1, 1)")
    assert field.send("one", INSERT.format("again"), "insert into visit (subject_id, number) values (1, 2)") == {}
    assert field.notes() == {"s": "again"}
    assert sorted(field.server.rows("select number from visit")) == [(1,), (2,)]


# --- values beside the key

PHONES = """
create table subject (id {pk}, code varchar(9) not null unique, phone varchar(9) unique, bed integer unique);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, unique (subject_id, number));
"""


class Ward:
    """Laptops whose subjects have phones and beds of which there is one each."""

    def __init__(self, make_side: Make, folder: Path, kinds: Sequence[str], policy: str) -> None:
        self.server = make_side(kinds[1], "server")
        self.laptops = {name: make_side(kinds[0], name) for name in ("one", "two")}
        self.configs: dict[str, Config] = {}
        for side in (self.server, *self.laptops.values()):
            side.script(PHONES)
        for name, side in self.laptops.items():
            tables: Any = {
                "subject": {"key": ["code"], "conflict": policy},
                "visit": ["subject_id", "number"],
            }
            self.configs[name] = write_config(folder, name, side, self.server, tables)
            install(self.configs[name])

    def send(self, name: str, *statements: str) -> dict[str, int]:
        with self.laptops[name].transaction():
            for statement in statements:
                self.laptops[name].run(statement)
        (delivered,) = replicate(self.configs[name])
        return dict(delivered.waiting)

    def subjects(self) -> set[tuple[Any, ...]]:
        return set(self.server.rows("select code, phone, bed from subject"))


@KINDS
@pytest.mark.parametrize("policy", ["source_wins", "newest_wins"])
def test_a_unique_value_that_another_nodes_row_has_holds_the_row_and_deletes_nothing(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], policy: str
) -> None:
    """symmetricds 40, postgres-cdc 7: one row collides with two others; its children wait behind it, and only they."""
    ward = Ward(make_side, tmp_path, kinds, policy)
    ward.send(
        "one",
        "insert into subject (id, code, phone, bed) values (1, 'a', 'p1', 1), (2, 'b', 'p2', 2)",
        "insert into visit (subject_id, number) values (1, 1), (2, 1)",
    )
    there = ward.subjects()
    assert ward.send(
        "two",
        "insert into subject (id, code, phone, bed) values (1, 'c', 'p1', 2), (2, 'd', 'p4', 4)",
        "insert into visit (subject_id, number) values (1, 7), (2, 7)",
    ) == {"held": 1, "deferred": 1}
    assert ward.subjects() == there | {("d", "p4", 4)}
    assert len(ward.server.rows("select id from visit")) == 3
    ward.send("one", "update subject set phone = 'p9' where code = 'a'")
    assert letters(ward.server) != []
    ward.send("one", "delete from subject where code = 'b'")
    assert ward.send("two", "update subject set phone = 'p5' where code = 'd'") == {}
    assert letters(ward.server) == []
    assert ward.subjects() == {("a", "p9", 1), ("c", "p1", 2), ("d", "p5", 4)}
    assert len(ward.server.rows("select id from visit")) == 3


# --- round in circles


def mesh(
    make_side: Make, folder: Path, kinds: Sequence[str], roads: dict[str, str]
) -> tuple[dict[str, Side], dict[str, Config]]:
    """Nodes that send to each other: to whom each one does, by the first letters of their names."""
    sides = {name: make_side(kind, name) for name, kind in zip(roads, kinds, strict=True)}
    for side in sides.values():
        side.script("create table subject (id {pk}, code varchar(9) not null unique, note text);")
    configs = {}
    for name, others in roads.items():
        targets = {other: sides[other] for other in others}
        tables = {"subject": {"key": ["code"], "conflict": "newest_wins"}}
        configs[name] = write_config(folder, name, sides[name], targets, tables)
        install(configs[name])
    return sides, configs


SUBJECT = Shape("subject", ("code",), ("note",))


def settle(configs: dict[str, Config]) -> None:
    for _ in range(2):
        for config in configs.values():
            replicate(config)
    assert [waiting(config) for config in configs.values()] == [0] * len(configs)


@pytest.mark.parametrize("kinds", [("sqlite", "postgresql"), ("postgresql", "postgresql")], ids="-".join)
@pytest.mark.parametrize("notes", [("same", "same"), ("one", "other")], ids=["equal", "different"])
def test_two_nodes_that_send_to_each_other_come_to_rest_on_one_row(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], notes: tuple[str, str]
) -> None:
    """postgres-cdc 43, symmetricds 48: no echo, whether both wrote the same or not."""
    sides, configs = mesh(make_side, tmp_path, kinds, {"a": "b", "b": "a"})
    for side, note in zip(sides.values(), notes, strict=True):
        side.run("insert into subject (code, note) values ('s', ?)", (note,))
    settle(configs)
    assert [by_natural_key(side, SUBJECT) for side in sides.values()] == [{("s",): (notes[1],)}] * 2
    sides["a"].run("update subject set note = 'last'")
    settle(configs)
    assert [by_natural_key(side, SUBJECT) for side in sides.values()] == [{("s",): ("last",)}] * 2


@KINDS
@pytest.mark.parametrize("when", ["at once", "sealed before", "in one batch"])
def test_a_row_that_a_node_deleted_itself_does_not_come_back_by_an_older_write(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], when: str
) -> None:
    """Whether the deletion is sealed before anything has arrived, after it, or together with the row's insertion."""
    sides, configs = mesh(make_side, tmp_path, kinds, {"a": "b", "b": "a"})
    insert = "insert into subject (code, note) values ('s', 'x')"
    for name in "ba":
        sides[name].run(insert)
        time.sleep(0.02)
    if when == "sealed before":
        replicate(configs["a"])
    sides["a"].run("delete from subject")
    if when == "at once":
        replicate(configs["b"])
    settle(configs)
    assert [by_natural_key(side, SUBJECT) for side in sides.values()] == [{}, {}]
    sides["b"].run("insert into subject (code, note) values ('s', 'newer')")
    settle(configs)
    assert [by_natural_key(side, SUBJECT) for side in sides.values()] == [{("s",): ("newer",)}] * 2


@KINDS
def test_a_row_that_a_node_sealed_before_anything_arrived_is_known_to_be_newer(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    sides, configs = mesh(make_side, tmp_path, kinds, {"a": "", "b": "a"})
    insert = "insert into subject (code, note) values ('s', ?)"
    for name, note in (("b", "older"), ("a", "newer")):
        sides[name].run(insert, (note,))
        time.sleep(0.02)
    with databases.connect(configs["a"].node.database) as database:
        ship.seal_waiting(database, configs["a"])
    replicate(configs["b"])
    assert by_natural_key(sides["a"], SUBJECT) == {("s",): ("newer",)}


@pytest.mark.parametrize("kinds", [("sqlite", "postgresql")], ids="-".join)
def test_a_deletion_arrives_although_another_nodes_row_has_taken_the_deleted_rows_number(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    sides, configs = mesh(make_side, tmp_path, kinds, {"a": "b", "b": "a"})
    insert = "insert into subject (id, code, note) values (?, ?, 'x')"
    sides["a"].run(insert, (1, "kept"))
    sides["a"].run(insert, (2, "gone"))
    settle(configs)
    sides["a"].run("update subject set note = 'x' where code = 'kept'")
    sides["a"].run("delete from subject where code = 'gone'")
    sides["b"].run(insert, (7, "new"))
    replicate(configs["b"])
    assert sides["a"].rows("select id from subject where code = 'new'") == [(2,)]
    settle(configs)
    expected = {("kept",): ("x",), ("new",): ("x",)}
    assert [by_natural_key(side, SUBJECT) for side in sides.values()] == [expected] * 2


VISITS = """
create table subject (id {pk}, code varchar(9) not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, note text, unique (subject_id, number));
"""
VISIT = Shape("visit", ("subject_id>subject.code", "number"), ("note",))


@KINDS
@pytest.mark.parametrize("with_parent", [False, True], ids=["its parent stays", "its parent too"])
def test_a_child_that_a_node_deleted_itself_does_not_come_back_by_an_older_write(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], with_parent: bool
) -> None:
    """Its key runs through a parent, which may go with it, and come again."""
    sides = {name: make_side(kind, name) for name, kind in zip("ab", kinds, strict=True)}
    tables = {
        "subject": {"key": ["code"], "conflict": "newest_wins"},
        "visit": {"key": ["subject_id", "number"], "conflict": "newest_wins"},
    }
    configs = {}
    for name, other in (("a", "b"), ("b", "a")):
        sides[name].script(VISITS)
        configs[name] = write_config(tmp_path, name, sides[name], {other: sides[other]}, tables)
    for config in configs.values():
        install(config)
    insert = "insert into visit (subject_id, number, note) values (?, 1, 'x')"
    sides["a"].run("insert into subject (id, code) values (5, 's')")
    sides["a"].run(insert, (5,))
    settle(configs)
    sides["b"].run("update visit set note = 'older'")
    time.sleep(0.02)
    sides["a"].run(f"delete from {'subject' if with_parent else 'visit'}")
    if with_parent:
        sides["a"].run("insert into subject (id, code) values (6, 's')")
    replicate(configs["b"])
    assert by_natural_key(sides["a"], VISIT) == {}
    settle(configs)
    assert [by_natural_key(side, VISIT) for side in sides.values()] == [{}, {}]
    assert [len(by_natural_key(side, SUBJECT)) for side in sides.values()] == [1, 1]


@pytest.mark.parametrize("kinds", [("sqlite", "postgresql", "sqlite")], ids="-".join)
@pytest.mark.parametrize("seed", range(5))
def test_three_nodes_that_all_write_and_delete_the_same_rows_end_alike(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], seed: int
) -> None:
    """symmetricds 42: random writes, delivered in random order; few of them, so that the first ones matter too."""
    sides, configs = mesh(make_side, tmp_path, kinds, {"a": "bc", "b": "ac", "c": "ab"})
    chance = random.Random(seed)
    put = "insert into subject (code, note) values (?, ?) on conflict (code) do update set note = excluded.note"
    for step in range(chance.choice([4, 8, 16, 32])):
        name, code, what = chance.choice("abc"), chance.choice("vwxyz"), chance.randrange(9)
        if what < 4:
            sides[name].run(put, (code, f"{name}{step}"))
        elif what < 6:
            sides[name].run("delete from subject where code = ?", (code,))
        else:
            replicate(configs[name])
        time.sleep(0.003)
    settle(configs)
    first, *others = (by_natural_key(side, SUBJECT) for side in sides.values())
    assert others == [first, first]
    assert [letters(side) for side in sides.values()] == [[], [], []]


@KINDS
@pytest.mark.parametrize(
    "refers", [True, False], ids=["rows that refer to rows of their own table", "rows that do not"]
)
def test_a_row_that_came_beside_changes_of_others_is_its_senders_own(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], refers: bool
) -> None:
    """Where the target wins, only what somebody else wrote does: not a row whose version nobody had noted."""
    source, target = make_side(kinds[0], "source"), make_side(kinds[1], "target")
    more = ", up integer references subject (id)" if refers else ""
    for side in (source, target):
        side.script(f"create table subject (id {{pk}}, code varchar(9) not null unique, note text{more});")
    config = write_config(tmp_path, "one", source, target, {"subject": {"key": ["code"], "conflict": "target_wins"}})
    install(config)
    for statements in (
        ["insert into subject (id, code, note) values (1, 'a', 'first')"],
        ["update subject set note = 'second'", "insert into subject (id, code, note) values (2, 'b', 'first')"],
        ["update subject set note = 'third'"],
    ):
        with source.transaction():
            for statement in statements:
                source.run(statement)
        replicate(config)
    assert target.rows("select code, note from subject order by code") == [("a", "third"), ("b", "third")]
