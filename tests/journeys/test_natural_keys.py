"""Rows are found by natural key: the server's own primary keys stay, whatever happened to the keys at the source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync.config import Config
from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.nodes import (
    Row,
    Shape,
    Side,
    Tables,
    by_natural_key,
    compare,
    contents,
    install,
    received,
    replicate,
    write_config,
)

Pair = tuple[Side, Side]


class Journey:
    """A source with triggers, and a server with the same tables that may hold rows of its own."""

    def __init__(self, pair: Pair, config: Config, shapes: tuple[Shape, ...]) -> None:
        self.source, self.target = pair
        self.config = config
        self.shapes = shapes
        self.others = contents(self.target, shapes)

    def write(self, *statements: str) -> None:
        """Write at the source, all in one transaction."""
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)

    def arrive(self, *statements: str) -> None:
        """Write, replicate, and check that the server holds the source's rows and its own, and no others."""
        self.write(*statements)
        replicate(self.config)
        compare(self.source, self.target, *self.shapes, others=self.others)

    def ids(self, table: str) -> dict[Row, int]:
        """The server's primary keys, by natural key."""
        shape = next(shape for shape in self.shapes if shape.table == table)
        rows = by_natural_key(self.target, Shape(table, shape.key, ("id",)))
        return {key: values[0] for key, values in rows.items()}


Start = Callable[..., Journey]


@pytest.fixture
def start(pair: Pair, tmp_path: Path) -> Start:
    """``start(schema, tables, *shapes, server=script)``: create tables on both sides, fill the server, install."""

    def make(schema: str | dict[str, str], tables: Tables, *shapes: Shape, server: str = "") -> Journey:
        for side in pair:
            side.script(schema if isinstance(schema, str) else schema[side.kind])
        pair[1].script(server)
        config = write_config(tmp_path, "laptop", *pair, tables)
        install(config)
        return Journey(pair, config, shapes)

    return make


HOUSES = """
create table area (id {pk}, code varchar(20) not null unique, note text);
create table site (id {pk}, area_id integer not null references area (id) on delete cascade,
    name varchar(40) not null, note text, unique (area_id, name));
create table room (id {pk}, site_id integer not null references site (id) on delete cascade,
    number integer not null, note text, unique (site_id, number));
create table bed (id {pk}, room_id integer not null references room (id) on delete cascade,
    letter char(1) not null, note text, unique (room_id, letter));
"""
HOUSES_AT_SERVER = """
insert into area (id, code) values (500, 'server');
insert into site (id, area_id, name) values (600, 500, 'main');
insert into room (id, site_id, number) values (700, 600, 1);
insert into bed (id, room_id, letter) values (800, 700, 'a');
"""
HOUSE_KEYS = {
    "area": ["code"],
    "site": ["area_id", "name"],
    "room": ["site_id", "number"],
    "bed": ["room_id", "letter"],
}
AREA = Shape("area", ("code",), ("note",))
SITE = Shape("site", ("area_id>area.code", "name"), ("note",))
ROOM = Shape("room", ("site_id>site.area_id>area.code", "site_id>site.name", "number"), ("note",))
BED = Shape(
    "bed",
    ("room_id>room.site_id>site.area_id>area.code", "room_id>room.site_id>site.name", "room_id>room.number", "letter"),
    ("note",),
)
SOURCE_HOUSES = (
    "insert into area (id, code) values (1, 'north'), (2, 'south')",
    "insert into site (id, area_id, name) values (1, 1, 'main'), (2, 2, 'main'), (3, 2, 'annex')",
    "insert into room (id, site_id, number) values (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1)",
    "insert into bed (id, room_id, letter) values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'a'), (4, 3, 'a'), (5, 4, 'a')",
)


@pytest.fixture
def houses(start: Start) -> Journey:
    """Four tables in a line, keys through three foreign keys, two areas replicated already."""
    journey = start(HOUSES, HOUSE_KEYS, AREA, SITE, ROOM, BED, server=HOUSES_AT_SERVER)
    journey.arrive(*SOURCE_HOUSES)
    return journey


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


def test_a_renamed_key_keeps_the_servers_id_and_its_children(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site"), houses.ids("bed")
    houses.arrive("update area set code = 'renamed', note = 'new' where code = 'north'")
    assert houses.ids("area")[("renamed",)] == before[0][("north",)]
    assert houses.ids("site")[("renamed", "main")] == before[1][("north", "main")]
    assert houses.ids("bed")[("renamed", "main", 1, "b")] == before[2][("north", "main", 1, "b")]


def test_a_key_renamed_at_every_level_at_once_keeps_the_servers_ids(houses: Journey) -> None:
    before = {table: sorted(houses.ids(table).values()) for table in HOUSE_KEYS}
    houses.arrive(
        "update bed set letter = 'z' where letter = 'a'",
        "update room set number = number + 100",
        "update site set name = 'old ' || name",
        "update area set code = 'old ' || code",
    )
    assert {table: sorted(houses.ids(table).values()) for table in HOUSE_KEYS} == before


def test_a_row_renamed_and_then_deleted_is_gone(houses: Journey) -> None:
    houses.arrive("update area set code = 'doomed' where code = 'north'", "delete from area where code = 'doomed'")
    assert ("north",) not in houses.ids("area")


def test_a_chain_of_renames_in_one_transaction_moves_each_row_once(houses: Journey) -> None:
    before = houses.ids("area")
    houses.arrive(
        "update area set code = 'c' where code = 'south'", "update area set code = 'south' where code = 'north'"
    )
    after = houses.ids("area")
    assert (after[("c",)], after[("south",)]) == (before[("south",)], before[("north",)])


def test_two_rows_that_swap_their_keys_keep_their_server_ids(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("bed")
    houses.arrive(
        "update area set code = 'meanwhile' where code = 'north'",
        "update area set code = 'north' where code = 'south'",
        "update area set code = 'south' where code = 'meanwhile'",
    )
    after = houses.ids("area"), houses.ids("bed")
    assert (after[0][("north",)], after[0][("south",)]) == (before[0][("south",)], before[0][("north",)])
    assert after[1][("south", "main", 1, "b")] == before[1][("north", "main", 1, "b")]


def test_numbers_that_all_shift_by_one_keep_their_server_ids(houses: Journey) -> None:
    houses.arrive("insert into room (id, site_id, number) values (5, 1, 3), (6, 1, 4)")
    before = houses.ids("room")
    houses.arrive(*(f"update room set number = {n + 1} where site_id = 1 and number = {n}" for n in (4, 3, 2, 1)))
    after = houses.ids("room")
    assert [after["north", "main", n + 1] for n in (1, 2, 3, 4)] == [before["north", "main", n] for n in (1, 2, 3, 4)]


def test_a_row_deleted_and_entered_again_keeps_the_servers_id(houses: Journey) -> None:
    before = houses.ids("bed")
    houses.arrive(
        "delete from bed where id = 1", "insert into bed (id, room_id, letter, note) values (71, 1, 'a', 'again')"
    )
    assert houses.ids("bed") == before


def test_a_parent_deleted_and_entered_again_keeps_the_servers_id_and_its_new_children(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site")
    houses.arrive(
        "delete from area where code = 'north'",
        "insert into area (id, code) values (71, 'north')",
        "insert into site (id, area_id, name) values (71, 71, 'main'), (72, 71, 'tent')",
    )
    assert houses.ids("area") == before[0]
    assert houses.ids("site")["north", "main"] == before[1]["north", "main"]


def test_a_parent_deleted_with_cascade_takes_its_children_along(houses: Journey) -> None:
    houses.arrive("delete from area where code = 'south'")
    assert houses.ids("bed").keys() == {("server", "main", 1, "a")} | {
        ("north", "main", 1, "a"),
        ("north", "main", 1, "b"),
        ("north", "main", 2, "a"),
    }


def test_a_child_moved_before_its_old_parent_is_deleted_stays(houses: Journey) -> None:
    before = houses.ids("site"), houses.ids("bed")
    houses.arrive("update site set area_id = 1 where name = 'annex'", "delete from area where code = 'south'")
    assert houses.ids("site")["north", "annex"] == before[0]["south", "annex"]
    assert houses.ids("bed")["north", "annex", 1, "a"] == before[1]["south", "annex", 1, "a"]


def test_a_child_moved_to_a_parent_entered_in_the_same_transaction_stays(houses: Journey) -> None:
    before = houses.ids("room")
    houses.arrive(
        "insert into area (id, code) values (8, 'east')",
        "insert into site (id, area_id, name) values (8, 8, 'camp')",
        "update room set site_id = 8, number = 12 where id = 2",
        "delete from site where id = 1",
    )
    assert houses.ids("room")["east", "camp", 12] == before["north", "main", 2]


def test_a_row_inserted_and_deleted_in_one_batch_leaves_nothing(houses: Journey) -> None:
    before = {table: houses.ids(table) for table in HOUSE_KEYS}
    houses.arrive(
        "insert into area (id, code) values (8, 'brief')",
        "insert into site (id, area_id, name) values (8, 8, 'brief')",
        "update area set code = 'briefer' where id = 8",
        "delete from area where id = 8",
    )
    assert {table: houses.ids(table) for table in HOUSE_KEYS} == before


def test_a_primary_key_used_again_by_another_row_is_not_the_same_row(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site")
    houses.arrive(
        "delete from area where id = 2",
        "insert into area (id, code) values (2, 'other')",
        "insert into site (id, area_id, name) values (2, 2, 'main')",
    )
    after = houses.ids("area"), houses.ids("site")
    assert ("south",) not in after[0]
    assert after[0][("other",)] not in before[0].values()
    assert after[1]["other", "main"] not in before[1].values()


def test_a_rename_to_a_key_of_the_servers_own_waits_and_changes_nothing(houses: Journey) -> None:
    before = contents(houses.target, houses.shapes)
    houses.write(
        "update area set code = 'server' where code = 'north'", "update area set note = 'x' where code = 'south'"
    )
    with pytest.raises(CdcSyncError, match="update_exists"):
        replicate(houses.config)
    assert contents(houses.target, houses.shapes) == before
    here = received(houses.config, houses.target)
    assert (here.stored, here.applied) == (2, 1)


def test_a_conflict_resolved_at_the_server_lets_the_batch_through(houses: Journey) -> None:
    houses.write("update area set code = 'server' where code = 'north'")
    with pytest.raises(CdcSyncError, match="update_exists"):
        replicate(houses.config)
    houses.target.run("update area set code = 'made way' where code = 'server'")
    replicate(houses.config)
    assert houses.ids("area").keys() == {("server",), ("south",), ("made way",)}


def test_the_same_subject_from_two_nodes_becomes_one_row_with_both_nodes_children(
    pair: Pair, make_side: Make, tmp_path: Path
) -> None:
    first, server = pair
    second = make_side(first.kind, "second")
    for side in (first, second, server):
        side.script(HOUSES)
    server.script(HOUSES_AT_SERVER)
    for name, side, site in (("one", first, "tent"), ("two", second, "hut")):
        config = write_config(tmp_path, name, side, server, HOUSE_KEYS)
        install(config)
        side.run("insert into area (id, code) values (1, 'shared')")
        side.run("insert into site (area_id, name) values (1, ?)", (site,))
        replicate(config)
    assert by_natural_key(server, Shape("area", ("code",))).keys() == {("server",), ("shared",)}
    sites = by_natural_key(server, SITE).keys()
    assert sites == {("server", "main"), ("shared", "tent"), ("shared", "hut")}


STRANGE = """
create table "Größe ""x"" of Table" (id {pk}, "seq" varchar(20) not null, "select" integer not null, "op" text,
    "at" text, "CamelCase" text, "with space" text, "qu""ote" text, "naïve :colon %s" text, "v0" text,
    "cdc_sync_note" text, unique ("seq", "select"));
create table "order" (id {pk}, "group by" integer not null references "Größe ""x"" of Table" (id),
    "user" varchar(20) not null, "chain" text, unique ("group by", "user"));
"""
STRANGE_PARENT = '"Größe ""x"" of Table"'


def test_names_that_need_quotes_work_everywhere(start: Start) -> None:
    strange = STRANGE_PARENT[1:-1].replace('""', '"')
    tables = {strange: ["seq", "select"], "order": ["group by", "user"]}
    own = f"""insert into {STRANGE_PARENT} (id, "seq", "select") values (60, 'own', 1);"""
    journey = start(STRANGE, tables, server=own)
    journey.arrive(
        f'insert into {STRANGE_PARENT} (id, "seq", "select", "op", "qu""ote") values (1, \'a\', 1, \'I\', \'q\')',
        f'insert into {STRANGE_PARENT} (id, "seq", "select", "naïve :colon %s") values (2, \'a\', 2, \'n\')',
        'insert into "order" ("group by", "user", "chain") values (1, \'u\', \'c\'), (2, \'u\', null)',
    )
    _strange_rows_agree(journey)
    journey.arrive(
        f'update {STRANGE_PARENT} set "select" = 9, "with space" = \'s\' where id = 2',
        f"update {STRANGE_PARENT} set \"CamelCase\" = 'C', \"v0\" = 'v', \"cdc_sync_note\" = 'n' where id = 1",
        'delete from "order" where "group by" = 1',
    )
    _strange_rows_agree(journey)


def _strange_rows_agree(journey: Journey) -> None:
    parents = f"""select "seq", "select", "op", "at", "CamelCase", "with space", "qu""ote", "v0", "cdc_sync_note"
        from {STRANGE_PARENT} where "seq" <> 'own' order by 1, 2"""
    children = f"""select p."seq", p."select", c."user", c."chain" from "order" c
        join {STRANGE_PARENT} p on p.id = c."group by" order by 1, 2, 3"""
    for query in (parents, children):
        assert journey.target.rows(query) == journey.source.rows(query)


def test_an_excluded_column_keeps_the_servers_own_value(start: Start) -> None:
    schema = "create table item (id {pk}, code varchar(20) not null unique, name text, photo text default 'none');"
    shape = Shape("item", ("code",), ("name",))
    tables = {"item": {"key": ["code"], "exclude": ["photo"]}}
    journey = start(schema, tables, shape)
    journey.arrive("insert into item (code, name, photo) values ('a', 'A', 'secret'), ('b', 'B', 'secret')")
    assert journey.target.rows("select distinct photo from item") == [("none",)]
    journey.target.run("update item set photo = 'mine' where code = 'a'")
    journey.arrive("update item set name = 'AA', photo = 'leak' where code = 'a'")
    journey.arrive("update item set code = 'c', photo = 'leak' where code = 'a'")
    assert journey.target.rows("select photo from item where code = 'c'") == [("mine",)]


@pytest.mark.parametrize("storage", ["stored", "virtual"])
def test_generated_columns_are_computed_by_the_server(start: Start, storage: str) -> None:
    schema = (
        "create table box (id {pk}, code varchar(20) not null unique, width integer, height integer,"
        f"area integer generated always as (width * height) {storage});"
    )
    shape = Shape("box", ("code",), ("width", "height", "area"))
    journey = start(schema, {"box": ["code"]}, shape)
    journey.arrive("insert into box (code, width, height) values ('a', 2, 3), ('b', null, 1)")
    journey.arrive("update box set height = 10 where code = 'a'")
    assert by_natural_key(journey.target, shape)[("a",)] == (2, 10, 20)


# --- what random programs found


def test_a_renumbered_row_that_refers_to_itself_and_is_deleted_leaves_nothing(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t (id {pk}, k text not null unique,"
            " parent integer references t (id) on delete cascade on update cascade)"
        )
    config = write_config(tmp_path, "found", source, target, {"t": ["k"]})
    install(config)
    with source.transaction():
        source.run("insert into t (id, k) values (2, 'a')")
        source.run("update t set parent = 2 where id = 2")
    with source.transaction():
        source.run("update t set id = 4 where id = 2")
        source.run("delete from t where id = 4")
    replicate(config)
    assert target.rows("select count(*) from t") == [(0,)]


def test_a_row_keyed_by_a_renamed_parent_is_deleted_though_the_targets_cascade_moved_it(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t0 (id {pk}, k text not null unique);"
            "create table t1 (f0 text not null references t0 (k) on delete cascade on update cascade,"
            " f1 integer not null references t0 (id) on delete cascade on update cascade, primary key (f0, f1))"
        )
    config = write_config(tmp_path, "found", source, target, {"t0": ["k"], "t1": ["f0", "f1"]})
    install(config)
    source.run("insert into t0 (id, k) values (2, 'c')")
    source.run("insert into t1 values ('c', 2)")
    replicate(config)
    source.run("delete from t1")
    source.run("update t0 set k = 'b' where id = 2")
    replicate(config)
    assert target.rows("select k from t0") == [("b",)]
    assert target.rows("select count(*) from t1") == [(0,)]


def test_a_row_that_refers_twice_to_a_renumbered_parent_stays_one_row(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t0 (id {pk}, k text not null unique);"
            "create table t1 (f0 integer not null references t0 (id) on delete cascade on update cascade,"
            " f1 integer not null references t0 (id) on delete cascade on update cascade, primary key (f0, f1))"
        )
    config = write_config(tmp_path, "found", source, target, {"t0": ["k"], "t1": ["f0", "f1"]})
    install(config)
    source.run("insert into t0 (id, k) values (5, 'c'), (1, 'a')")
    source.run("insert into t1 values (5, 5)")
    source.run("update t0 set id = 4 where id = 5")
    replicate(config)
    joined = "select a.k, b.k from t1 join t0 a on a.id = t1.f0 join t0 b on b.id = t1.f1"
    assert target.rows(joined) == source.rows(joined) == [("c", "c")]
