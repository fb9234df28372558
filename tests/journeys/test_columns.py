"""Every name arrives, quoted where it must be; excluded and generated columns are the server's own affair."""

import pytest

from tests.journeys.conftest import Journey, Start
from tests.nodes import (
    Shape,
    by_natural_key,
)

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
