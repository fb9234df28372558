"""Traps of capture in PostgreSQL: cascades, deferred constraints, and primary keys that shift or change places."""

import re
from contextlib import closing

import psycopg
import pytest

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.journeys.test_traps_in_postgresql import changes
from tests.nodes import Shape, by_natural_key


@pytest.fixture(params=["statement", "row"])
def capture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(make_side: Make, capture: str) -> Pair:
    """A PostgreSQL target has the source's cascades and deferrals, an SQLite one has none: both must do."""
    target = {"statement": "postgresql", "row": "sqlite"}[capture]
    return make_side("postgresql", "source"), make_side(target, "target")


def begin(start: Start, schema: str, capture: str, *shapes: Shape) -> Journey:
    flat = re.sub(r"on \w+ (cascade|set null|set default)( \(\w+\))?|deferrable( initially deferred)?", "", schema)
    entries = {shape.table: {"key": ["code"], "capture": capture} for shape in shapes}
    return start({"postgresql": schema, "sqlite": flat}, entries, *shapes)


# --- cascades

FAMILY = """
create table parent (id {pk}, code text not null unique);
create table child (id {pk}, code text not null unique, note text,
    parent_id integer default 3 references parent (id) {action});
create table toy (id {pk}, code text not null unique, child_id integer default 4 references child (id) {action});
"""
PARENT = Shape("parent", ("code",))
CHILD = Shape("child", ("code",), ("note", "parent_id>parent.code"))
TOY = Shape("toy", ("code",), ("child_id>child.code",))
FAMILY_ROWS = (
    "insert into parent (id, code) values (1, 'p1'), (2, 'p2'), (3, 'p3')",
    "insert into child (id, code, parent_id) values (1, 'c1', 1), (2, 'c2', 2), (3, 'c3', 2), (4, 'c4', null)",
    "insert into toy (id, code, child_id) values (1, 't1', 1), (2, 't2', 2), (3, 't3', 3), (4, 't4', 4)",
)


def family(start: Start, action: str, capture: str) -> Journey:
    journey = begin(start, FAMILY.replace("{action}", action), capture, PARENT, CHILD, TOY)
    journey.arrive(*FAMILY_ROWS)
    return journey


DELETED = ["cascade", "set null", "set default"]


@pytest.mark.parametrize("action", DELETED)
def test_rows_that_a_delete_reaches_through_foreign_keys_are_captured(start: Start, action: str, capture: str) -> None:
    """They are logged after the parent, whatever the triggers are called: an order in which no foreign key holds."""
    journey = family(start, f"on delete {action}", capture)
    journey.arrive("update child set note = 'seen' where id = 1", "delete from parent where code <> 'p3'")
    assert len(by_natural_key(journey.target, CHILD)) == (1 if action == "cascade" else 4)
    journey.arrive(
        "delete from child where code = 'c3'", "insert into child (code) values ('c1') on conflict do nothing"
    )


@pytest.mark.parametrize("action", DELETED)
def test_a_parent_that_is_deleted_and_entered_again_beside_its_cascade(start: Start, action: str, capture: str) -> None:
    journey = family(start, f"on delete {action}", capture)
    journey.arrive(
        "delete from parent where code = 'p2'",
        "insert into parent (id, code) values (2, 'p2')",
        "insert into child (id, code, parent_id) values (2, 'c2', 2) on conflict (id) do update set parent_id = 2",
    )


def test_set_null_of_one_column_of_a_foreign_key_is_captured(start: Start, capture: str) -> None:
    schema = """
    create table parent (id {pk}, code text not null unique, land text not null, unique (land, id));
    create table child (id {pk}, code text not null unique, land text not null, parent_id integer,
        foreign key (land, parent_id) references parent (land, id) on delete set null (parent_id));
    """
    child = Shape("child", ("code",), ("land", "land,parent_id>parent(land,id).code"))
    journey = begin(start, schema, capture, Shape("parent", ("code",), ("land",)), child)
    journey.arrive(
        "insert into parent (id, code, land) values (1, 'p1', 'BW'), (2, 'p2', 'BW')",
        "insert into child (code, land, parent_id) values ('c1', 'BW', 1), ('c2', 'BW', 2)",
    )
    journey.arrive("delete from parent where id = 1")
    assert by_natural_key(journey.target, child)[("c1",)] == ("BW", None)


def test_rows_that_an_update_of_a_primary_key_reaches_are_captured(start: Start, capture: str) -> None:
    journey = family(start, "on update cascade", capture)
    journey.arrive("update parent set id = id + 100, code = code || '!'", "update child set id = id * 10 where id > 1")
    journey.arrive("update child set parent_id = 103 where parent_id = 102", "update parent set id = 1 where id = 103")


TREE = """
create table node (id {pk}, code text not null unique, n integer,
    up_id integer references node (id) on delete cascade on update cascade deferrable initially deferred);
"""
NODE = Shape("node", ("code",), ("n", "up_id>node.code"))


@pytest.fixture
def tree(start: Start, capture: str) -> Journey:
    journey = begin(start, TREE, capture, NODE)
    journey.arrive(
        "insert into node (id, code, up_id) values (1, 'a', null), (2, 'b', 1), (3, 'c', 2), (4, 'd', 3), (5, 'e', 4)",
        "insert into node (id, code, up_id) values (6, 'self', 6), (7, 'one', 8), (8, 'other', 7)",
    )
    return journey


STORIES = {
    "a cascade through every level": ["delete from node where code = 'b'"],
    "a cascade through a ring": ["delete from node where code = 'one'", "delete from node where code = 'self'"],
    "new keys for all": ["update node set id = id + 1000"],
    "new keys for a ring, and one goes": [
        "update node set id = id + 50 where id > 6",
        "delete from node where id = 58",
    ],
    "a level is taken out": ["update node set up_id = 2 where code = 'd'", "delete from node where code = 'c'"],
    "a root goes and comes again": [
        "delete from node where code = 'a'",
        "insert into node (id, code, up_id) values (2, 'c', 1), (1, 'a', null), (9, 'b', 2)",
    ],
}


@pytest.mark.parametrize("story", STORIES)
def test_a_cascade_within_one_table_is_captured_at_every_level(tree: Journey, story: str) -> None:
    tree.arrive(*STORIES[story])


PARTED = """
create table parent (code text not null primary key, note text) partition by range (code);
create table parent_low partition of parent for values from (minvalue) to ('m');
create table parent_high (note text, code text not null primary key);
alter table parent attach partition parent_high for values from ('m') to (maxvalue);
create table child (code text not null primary key, parent_code text default 'z'
    references parent (code) on delete {action} on update cascade) partition by range (code);
create table child_low partition of child for values from (minvalue) to ('m');
create table child_high (parent_code text, code text not null primary key);
alter table child attach partition child_high for values from ('m') to (maxvalue);
"""
WHOLE = """
create table parent (code text not null primary key, note text);
create table child (code text not null primary key, parent_code text references parent (code));
"""
PARTED_STORIES = {
    "a delete": ["delete from parent where code in ('a', 'x')"],
    "a delete in a leaf": ["delete from parent_low where code = 'a'"],
    "new keys": ["update parent set code = code || '!' where code <> 'z'"],
    "a key that moves to another partition": ["update parent set code = 'w' where code = 'a'"],
    "new keys, and one goes": ["update parent set code = 'b' where code = 'x'", "delete from parent where code = 'a'"],
}


@pytest.mark.parametrize("action", DELETED)
@pytest.mark.parametrize("story", PARTED_STORIES)
def test_a_cascade_between_partitioned_tables_is_captured(
    start: Start, pair: Pair, capture: str, action: str, story: str
) -> None:
    pair[0].script(PARTED.replace("{action}", action))
    pair[1].script(WHOLE)
    entries = {table: {"key": ["code"], "capture": capture} for table in ("parent", "child")}
    shapes = Shape("parent", ("code",), ("note",)), Shape("child", ("code",), ("parent_code",))
    journey = start("select 1", entries, *shapes)
    journey.arrive(
        "insert into parent values ('a', 'A'), ('x', 'X'), ('z', 'Z')",
        "insert into child values ('c1', 'a'), ('c2', 'x'), ('v1', 'a'), ('v2', 'x'), ('v3', null)",
    )
    journey.arrive(*PARTED_STORIES[story])


# --- primary keys that shift or change places

ITEMS = """
create table item (id {pk}, code text not null unique, n integer unique deferrable, note text);
alter table item drop constraint item_pkey, add primary key (id) deferrable;
"""
ITEM = Shape("item", ("code",), ("n", "note"))


@pytest.fixture
def items(start: Start, pair: Pair, capture: str) -> Journey:
    flat = "create table item (id {pk}, code text not null unique, n integer unique, note text);"
    pair[1].script(flat)
    pair[0].script(ITEMS)
    journey = start("select 1", {"item": {"key": ["code"], "capture": capture}}, ITEM)
    rows = ", ".join(f"({i}, 'c{i}', {i}, 'r{i}')" for i in range(1, 6))
    journey.arrive(f"insert into item (id, code, n, note) values {rows}")
    return journey


SHIFTS = {
    "up": ["update item set id = id + 1"],
    "up and down": ["update item set id = id + 1", "update item set id = id - 1"],
    "twice": ["update item set id = id + 1", "update item set id = id + 1 where id > 3"],
    "two change places": ["update item set id = 3 - id where id in (1, 2)"],
    "a ring": ["update item set id = id % 5 + 1"],
    "reversed": ["update item set id = 6 - id"],
    "with other values": ["update item set id = id + 1, n = 6 - n, note = note || '!'"],
    "a hole is filled": ["delete from item where id = 3", "update item set id = id - 1 where id > 3"],
    "room is made": ["update item set id = id + 1", "insert into item (id, code) values (1, 'new')"],
    "the natural key too": ["update item set id = id + 1, code = code || '!'"],
    "the last goes to the front": ["update item set id = 0 where id = 5", "update item set id = id + 1"],
    "then one is deleted": ["update item set id = id + 1", "delete from item where id = 3"],
    "deferred, one by one": [
        "set constraints all deferred",
        *(f"update item set id = {i + 1} where code = 'c{i}'" for i in range(1, 6)),
        "update item set note = 'moved' where id = 3",
    ],
}


@pytest.mark.parametrize("shift", SHIFTS)
def test_primary_keys_that_shift_or_change_places_are_paired_with_their_rows(items: Journey, shift: str) -> None:
    """OLD and NEW of a statement are two heaps without a link: paired by primary key they would belong to strangers."""
    before = items.ids("item")
    items.arrive(*SHIFTS[shift])
    after = items.ids("item")
    assert all(after[key] == before[key] for key in after.keys() & before.keys())


def test_values_of_a_deferrable_unique_column_shift_in_one_statement(items: Journey) -> None:
    items.arrive("update item set n = n + 1")
    items.arrive("update item set n = 8 - n", "delete from item where n = 4")


@pytest.mark.parametrize("shift", ["code + 1", "7 - code", "code % 6 + 1"])
@pytest.mark.parametrize("partitions", [False, True], ids=["whole", "in partitions"])
def test_a_natural_key_that_is_the_primary_key_shifts_in_one_statement(
    start: Start, pair: Pair, capture: str, shift: str, partitions: bool
) -> None:
    flat = "create table place (code integer primary key, note text)"
    pair[1].script(flat)
    split = """ partition by range (code); create table place_low partition of place for values from (0) to (4);
        create table place_high partition of place for values from (4) to (99)"""
    pair[0].script(flat.replace("key,", "key deferrable,") + (split if partitions else ""))
    place = Shape("place", ("code",), ("note",))
    journey = start("select 1", {"place": {"key": ["code"], "capture": capture}}, place)
    journey.arrive("insert into place select i, 'p' || i from generate_series(1, 6) i")
    journey.arrive(f"update place set code = {shift}")
    journey.arrive(f"update place set code = {shift}, note = note || '!'", "delete from place where code = 4")


# --- deferred foreign keys

DEFERRED = """
create table parent (id {pk}, code text not null unique);
create table child (id {pk}, code text not null unique, note text,
    parent_id integer not null references parent (id) deferrable initially deferred);
"""


@pytest.fixture
def deferred(start: Start, capture: str) -> Journey:
    journey = begin(start, DEFERRED, capture, PARENT, CHILD)
    journey.arrive(
        "insert into parent (id, code) values (1, 'p1')", "insert into child (code, parent_id) values ('c1', 1)"
    )
    return journey


def test_a_parent_that_is_replaced_before_the_foreign_key_is_checked(deferred: Journey) -> None:
    deferred.arrive("delete from parent where id = 1", "insert into parent (id, code) values (1, 'p2')")
    deferred.arrive(
        "update parent set id = 9 where id = 1",
        "insert into child (code, parent_id) values ('c2', 10), ('c3', 9)",
        "insert into parent (id, code) values (1, 'p1'), (10, 'p3')",
    )


def test_what_a_deferred_constraint_refuses_at_commit_was_not_captured(deferred: Journey) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation), closing(deferred.source.connect()) as writer:
        writer.autocommit = False
        writer.execute("insert into child (code, parent_id) values ('orphan', 77)")
        writer.commit()
    assert changes(deferred.source, "child") == []
    deferred.arrive("insert into child (code, parent_id) values ('c2', 1)")


def test_a_foreign_key_that_is_not_enforced_is_followed_all_the_same(start: Start, pair: Pair, capture: str) -> None:
    """PostgreSQL 18 has such keys: they say what belongs together, and cascade nothing."""
    words = " not enforced" if pair[1].kind == "postgresql" else ""
    flat = FAMILY.replace(" {action}", "").replace("default 3 ", "").replace("default 4 ", "")
    pair[0].script(flat.replace("parent (id)", "parent (id) not enforced"))
    pair[1].script(
        flat.replace("parent (id)", f"parent (id){words}") + "insert into parent (id, code) values (90, 'own');"
    )
    entries = {shape.table: {"key": ["code"], "capture": capture} for shape in (PARENT, CHILD)}
    journey = start("select 1", entries, PARENT, CHILD)
    journey.arrive(*FAMILY_ROWS[:2])
    journey.arrive("update child set parent_id = 3 where code = 'c1'", "delete from parent where code = 'p1'")
