"""Rows are found by natural key, whatever it is made of and whatever refers to it; the server's own ids stay."""

import pytest

from tests.journeys.conftest import Journey, Start
from tests.nodes import (
    Shape,
)


def test_a_single_key_finds_the_row(houses: Journey) -> None:
    before = houses.ids("area")
    houses.arrive(
        "update area set note = 'cold' where code = 'north'", "insert into area (id, code) values (9, 'west')"
    )
    assert before.items() <= houses.ids("area").items()
    houses.arrive("delete from area where code = 'west'")
    assert houses.ids("area") == before


def test_a_composite_key_finds_the_row(start: Start) -> None:
    schema = (
        "create table reading (id {pk}, device varchar(20) not null, day date not null, value integer,"
        "unique (device, day));"
    )
    shape = Shape("reading", ("device", "day"), ("value",), {"day": str})
    own = "insert into reading (id, device, day, value) values (90, 'x', '2024-01-01', 0);"
    journey = start(schema, {"reading": ["device", "day"]}, shape, server=own)
    journey.arrive("insert into reading (device, day) values ('a', '2024-01-01'), ('a', '2024-01-02')")
    before = journey.ids("reading")
    journey.arrive(
        "update reading set value = 7 where device = 'a' and day = '2024-01-02'",
        "delete from reading where device = 'a' and day = '2024-01-01'",
    )
    assert journey.ids("reading").items() < before.items()


def test_a_key_through_three_foreign_keys_finds_the_row(houses: Journey) -> None:
    before = houses.ids("bed")
    houses.arrive("update bed set note = 'broken' where id in (3, 5)", "delete from bed where id = 2")
    after = houses.ids("bed")
    assert before.keys() - after.keys() == {("north", "main", 1, "b")}
    assert after.items() < before.items()


@pytest.mark.parametrize("declared", ["uuid", "varchar(36)"])
def test_a_global_primary_key_is_the_same_on_both_sides(start: Start, declared: str) -> None:
    schema = (
        f"create table person (id {declared} not null primary key, name text);"
        f"create table visit (id {declared} not null primary key,"
        f"person_id {declared} not null references person (id), day date);"
    )
    person = Shape("person", ("id",), ("name",), {"id": str})
    visit = Shape("visit", ("id",), ("person_id", "day"), {"id": str, "person_id": str, "day": str})
    journey = start(schema, {"person": ["id"], "visit": ["id"]}, person, visit)
    one, two, three = (f"00000000-0000-4000-8000-00000000000{i}" for i in range(3))
    journey.arrive(
        f"insert into person values ('{one}', 'A'), ('{two}', 'B')",
        f"insert into visit values ('{three}', '{one}', '2024-02-29')",
    )
    journey.arrive(
        f"update visit set person_id = '{two}'",
        f"delete from person where id = '{one}'",
        "update person set name = 'C'",
    )


@pytest.fixture(params=["dose", "intake"], ids=["child sorts first", "parent sorts first"])
def drugs(request: pytest.FixtureRequest, start: Start) -> Journey:
    """A primary key that is the natural key, may change, and takes its children along."""
    child = request.param
    schema = f"""
    create table drug (code varchar(10) not null primary key, name text);
    create table {child} (id {{pk}}, drug_code varchar(10) not null references drug (code) on update cascade,
        day integer not null, mg integer, unique (drug_code, day));
    """
    own = f"insert into drug values ('own', 'own'); insert into {child} (id, drug_code, day) values (90, 'own', 1);"
    shapes = Shape("drug", ("code",), ("name",)), Shape(child, ("drug_code", "day"), ("mg",))
    journey = start(schema, {"drug": ["code"], child: ["drug_code", "day"]}, *shapes, server=own)
    journey.arrive(
        "insert into drug values ('a', 'A'), ('b', 'B')",
        f"insert into {child} (id, drug_code, day, mg) values (1, 'a', 1, 10), (2, 'a', 2, 20), (3, 'b', 1, 30)",
    )
    return journey


def test_a_renamed_global_primary_key_takes_its_children_along(drugs: Journey) -> None:
    child = drugs.shapes[1].table
    before = drugs.ids(child)
    drugs.arrive("update drug set code = 'z', name = 'Z' where code = 'a'", f"update {child} set mg = 21 where id = 2")
    after = drugs.ids(child)
    assert (after["z", 1], after["z", 2], after["b", 1]) == (before["a", 1], before["a", 2], before["b", 1])
    drugs.arrive(f"delete from {child}", "delete from drug")


def test_global_primary_keys_with_children_can_change_places(drugs: Journey) -> None:
    child = drugs.shapes[1].table
    before = drugs.ids(child)
    drugs.arrive(*(f"update drug set code = '{new}' where code = '{old}'" for old, new in ("ax", "ba", "xb")))
    after = drugs.ids(child)
    assert (after["b", 1], after["b", 2], after["a", 1]) == (before["a", 1], before["a", 2], before["b", 1])


def test_a_junction_is_found_by_its_two_parents(start: Start) -> None:
    schema = """
    create table list (id {pk}, name varchar(20) not null unique);
    create table song (id {pk}, title varchar(20) not null unique);
    create table list_song (list_id integer not null references list (id),
        song_id integer not null references song (id), primary key (list_id, song_id));
    """
    own = """
    insert into list (id, name) values (40, 'own');
    insert into song (id, title) values (50, 'own');
    insert into list_song values (40, 50);
    """
    tables = {"list": ["name"], "song": ["title"], "list_song": ["list_id", "song_id"]}
    junction = Shape("list_song", ("list_id>list.name", "song_id>song.title"))
    journey = start(schema, tables, Shape("list", ("name",)), Shape("song", ("title",)), junction, server=own)
    journey.arrive(
        "insert into list (id, name) values (1, 'l1'), (2, 'l2')",
        "insert into song (id, title) values (1, 's1'), (2, 's2'), (3, 's3')",
        "insert into list_song values (1, 1), (1, 2), (2, 2)",
    )
    journey.arrive(
        "delete from list_song where list_id = 1 and song_id = 1",
        "update list_song set song_id = 3 where list_id = 1",
        "update song set title = 'renamed' where id = 3",
        "insert into list_song values (2, 1)",
    )


def test_a_composite_foreign_key_is_rewritten_as_a_whole(start: Start) -> None:
    schema = """
    create table country (id {pk}, iso char(2) not null unique);
    create table city (id {pk}, country_id integer not null references country (id), code varchar(10) not null,
        unique (country_id, code));
    create table street (id {pk}, country_id integer not null, city_code varchar(10) not null,
        name varchar(20) not null, unique (country_id, city_code, name),
        foreign key (country_id, city_code) references city (country_id, code) on update cascade);
    """
    own = """
    insert into country (id, iso) values (30, 'XX');
    insert into city (id, country_id, code) values (31, 30, 'own');
    """
    tables = {"country": ["iso"], "city": ["country_id", "code"], "street": ["country_id", "city_code", "name"]}
    city = Shape("city", ("country_id>country.iso", "code"))
    via = "country_id,city_code>city(country_id,code)"
    street = Shape("street", (f"{via}.country_id>country.iso", f"{via}.code", "name"))
    journey = start(schema, tables, Shape("country", ("iso",)), city, street, server=own)
    journey.arrive(
        "insert into country (id, iso) values (1, 'BW'), (2, 'NA')",
        "insert into city (country_id, code) values (1, 'gbe'), (2, 'whk')",
        "insert into street (country_id, city_code, name) values (1, 'gbe', 'Main'), (2, 'whk', 'Main')",
    )
    before = journey.ids("street")
    journey.arrive("update city set code = 'gab' where code = 'gbe'", "update country set iso = 'NM' where iso = 'NA'")
    assert sorted(journey.ids("street").values()) == sorted(before.values())


STAFF = """
create table staff (id {pk}, email varchar(20) not null unique,
    boss_id integer references staff (id) on delete set null deferrable initially deferred);
"""
STAFF_SHAPE = Shape("staff", ("email",), ("boss_id>staff.email",))


@pytest.fixture
def staff(start: Start) -> Journey:
    """A table that refers to itself in a column outside its key."""
    own = "insert into staff (id, email) values (90, 'own');"
    return start(STAFF, {"staff": ["email"]}, STAFF_SHAPE, server=own)


def test_a_tree_whose_children_were_written_first_arrives(staff: Journey) -> None:
    staff.arrive(
        "insert into staff (id, email, boss_id) values (4, 'leaf', 3)",
        "insert into staff (id, email, boss_id) values (3, 'twig', 2), (5, 'leaf2', 3)",
        "insert into staff (id, email, boss_id) values (2, 'branch', 1)",
        "insert into staff (id, email) values (1, 'root')",
    )


def test_a_tree_can_be_rebuilt_and_its_root_deleted(staff: Journey) -> None:
    staff.arrive("insert into staff (id, email, boss_id) values (1, 'a', null), (2, 'b', 1), (3, 'c', 2), (4, 'd', 3)")
    before = staff.ids("staff")
    staff.arrive("update staff set boss_id = 4 where id = 2", "update staff set boss_id = null where id = 3")
    staff.arrive("update staff set email = 'z' where id = 4", "delete from staff where id = 1")
    assert sorted(staff.ids("staff").values()) == sorted(set(before.values()) - {before[("a",)]})


def test_rows_that_refer_to_themselves_and_to_each_other_arrive(staff: Journey) -> None:
    staff.arrive("insert into staff (id, email, boss_id) values (1, 'self', 1), (2, 'one', 3), (3, 'other', 2)")


CIRCLE = {
    "sqlite": """
    create table unit (id {pk}, name varchar(20) not null unique, head_id integer references person (id));
    create table person (id {pk}, name varchar(20) not null unique, unit_id integer not null references unit (id));
    """,
    "postgresql": """
    create table unit (id {pk}, name varchar(20) not null unique, head_id integer);
    create table person (id {pk}, name varchar(20) not null unique, unit_id integer not null references unit (id));
    alter table unit add foreign key (head_id) references person (id);
    """,
}


def test_tables_that_refer_to_each_other_arrive(start: Start) -> None:
    unit = Shape("unit", ("name",), ("head_id>person.name",))
    person = Shape("person", ("name",), ("unit_id>unit.name",))
    own = "insert into unit (id, name) values (70, 'own');"
    journey = start(CIRCLE, {"unit": ["name"], "person": ["name"]}, unit, person, server=own)
    journey.arrive(
        "insert into unit (id, name) values (1, 'lab')",
        "insert into person (id, name, unit_id) values (1, 'Ada', 1)",
        "update unit set head_id = 1",
    )


def test_a_row_is_pointed_at_a_new_row_of_its_own_table_by_natural_key(start: Start) -> None:
    """Many updates and one insert: updates would come first, and their parent would not be there."""
    schema = "create table area (id {pk}, code text not null unique, within text references area (code), note text);"
    journey = start(schema, {"area": ["code"]}, Shape("area", ("code",), ("within", "note")))
    journey.arrive("insert into area (code) values ('a'), ('b'), ('c'), ('d')")
    journey.arrive(
        "insert into area (code) values ('new')",
        "update area set within = 'new' where code in ('a', 'b')",
        "update area set note = 'x'",
        "insert into area (code, within) values ('newer', 'a')",
        "update area set within = 'newer' where code = 'c'",
    )
