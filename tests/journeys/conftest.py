"""What several journeys share: a node with its server, tables in a line, and PostgreSQL types read as they are."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cdc_sync.config import Config
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


OWN_TYPES = """
create type float8range as range (subtype = float8, subtype_diff = float8mi);
create type mood as enum ('so so', 'it''s', '', 'the "best"', 'comma,');
create domain percent as integer check (value between 0 and 100);
create domain small_percent as percent check (value < 10);
create type pair as (number integer, label text);
create type nested as (one pair, more pair[], feeling mood);
create domain pair_domain as pair check ((value).number > 0);
"""
HOSTILE = """
create schema hostile;
create function hostile.current_setting(text, boolean) returns text language sql as $$ select 'on' $$;
create function hostile.nextval(text) returns bigint language sql as $$ select 1::bigint $$;
create domain hostile.mood as text;
create table hostile.sample (id integer);
set search_path = hostile, public, pg_catalog;
set datestyle = 'SQL, DMY';
set intervalstyle = 'sql_standard';
set timezone = 'Asia/Kathmandu';
set extra_float_digits = -5;
set bytea_output = 'escape';
set xmloption = 'content';
"""
PINNED = """
set datestyle = 'ISO'; set intervalstyle = 'postgres'; set timezone = 'UTC'; set extra_float_digits = 1;
set bytea_output = 'hex'; set lc_monetary = 'C'; set search_path = public;
"""


def pinned(side: Side, query: str) -> list[Row]:
    """The query's rows, read under settings that hide nothing."""
    with closing(side.connect()) as connection:
        connection.execute(PINNED)
        rows: list[Row] = connection.execute(query).fetchall()
        return rows


@pytest.fixture
def postgres(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")
