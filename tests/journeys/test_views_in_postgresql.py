"""Views over what only PostgreSQL has: partitions, children, truncation, types of its own, statements of many parts."""

from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Side, install, letters, replicate, write_config

PARTITIONED = """
create table item (id integer not null, code text not null, kind text, note text, primary key (id), unique (code, id))
    partition by range (id);
create table item_low partition of item for values from (0) to (100);
create table item_high partition of item for values from (100) to (1000);
create view shown as select id as number, code, note from item where kind = 'x';
"""
LANDING = "create table shown (number integer, code text not null unique, note text)"
SHOWN = "select number, code, note from shown order by code"


@pytest.fixture
def pair(make_side: Make) -> tuple[Side, Side]:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


def begin(pair: tuple[Side, Side], folder: Path, schema: str, landing: str = LANDING, **view: object) -> Config:
    source, target = pair
    source.script(schema)
    target.script(landing)
    config = write_config(folder, "clinic", source, target, {}, views={"shown": {"key": ["code"], **view}})
    install(config)
    return config


def arrive(config: Config, pair: tuple[Side, Side], *statements: str, query: str = SHOWN) -> None:
    for statement in statements:
        pair[0].run(statement)
    replicate(config)
    assert pair[1].rows(query) == pair[0].rows(query)
    assert letters(pair[1]) == []


@pytest.mark.parametrize("capture", ["statement", "row"])
def test_a_view_over_a_partitioned_table_is_sent_however_its_partitions_are_written(
    pair: tuple[Side, Side], tmp_path: Path, capture: str
) -> None:
    config = begin(pair, tmp_path, PARTITIONED, capture=capture)
    arrive(
        config,
        pair,
        "insert into item values (1, 'a', 'x', 'n'), (2, 'b', 'y', 'n'), (101, 'c', 'x', 'n')",
        "insert into item_high values (102, 'd', 'x', 'n')",
    )
    arrive(
        config, pair, "update item set id = id + 200 where id = 1", "update item_high set kind = 'y' where code = 'c'"
    )
    arrive(
        config,
        pair,
        "create table item_more partition of item for values from (1000) to (2000)",
        "insert into item_more values (1001, 'e', 'x', 'n')",
        "truncate item_high",
    )
    assert [code for _, code, _ in pair[1].rows(SHOWN)] == ["e"]


def test_rows_of_a_view_go_when_its_table_is_truncated(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config = begin(pair, tmp_path, PARTITIONED)
    arrive(config, pair, "insert into item values (1, 'a', 'x', 'n'), (2, 'b', 'y', 'n')")
    arrive(config, pair, "truncate item", "insert into item values (1, 'z', 'x', 'n')")


def test_statements_of_many_parts_are_seen_through_the_view(pair: tuple[Side, Side], tmp_path: Path) -> None:
    schema = """
        create table item (id integer primary key, code text not null unique, kind text, note text);
        create view shown as select id as number, code, note from item where kind = 'x';
    """
    config = begin(pair, tmp_path, schema)
    arrive(
        config,
        pair,
        "insert into item select i, 'c' || i, case when i % 2 = 0 then 'x' end, 'n' from generate_series(1, 9) i",
    )
    arrive(
        config,
        pair,
        """merge into item t using (values (2, 'y'), (3, 'x'), (20, 'x')) as s (id, kind) on t.id = s.id
        when matched and s.kind = 'y' then delete
        when matched then update set kind = s.kind, note = 'merged'
        when not matched then insert values (s.id, 'm' || s.id, s.kind, 'merged')""",
    )
    arrive(
        config,
        pair,
        """with gone as (delete from item where id = 4 returning *), moved as (
            update item set kind = 'y' where id = 6 returning id)
        insert into item select id + 100, code || 'again', kind, note from gone""",
    )
    arrive(config, pair, "insert into shown (number, code) values (50, 'through')", "update shown set note = 'w'")
    arrive(config, pair, "delete from shown where number = 8", "update item set kind = 'x' where id = 50")


def test_types_of_its_own_pass_through_a_view_as_they_are(pair: tuple[Side, Side], tmp_path: Path) -> None:
    types = """
        create type mood as enum ('sad', 'happy');
        create type place as (street text, number integer);
    """
    schema = f"""{types}
        create table item (id integer generated always as identity primary key, code text collate "C" not null unique,
            mood mood, lives place, tags text[], doc jsonb, span tstzrange, amount numeric(12, 4), secret text);
        create view shown as
            select code, mood, lives, tags, doc, span, amount, amount * 2 as twice, mood is not null as told
            from item where mood = 'happy' or code < 'b';
    """
    landing = f"""{types}
        create table shown (code text not null unique, mood mood, lives place, tags text[], doc jsonb, span tstzrange,
            amount numeric(12, 4), twice numeric, told boolean);
    """
    config = begin(pair, tmp_path, schema, landing)
    query = """select code, mood, lives::text, tags, doc, span::text, amount::text, twice::text, told from shown
        order by code"""
    arrive(
        config,
        pair,
        """insert into item (code, mood, lives, tags, doc, span, amount) values
        ('a', 'happy', '("a, b",3)', '{a,"b c",null}', '{"k": [1, null]}', '[2026-01-01 00:00+00,)', 1.5000),
        ('B', 'sad', null, '{}', 'null', 'empty', 'NaN'), ('b', 'sad', null, null, null, null, 2)""",
        query=query,
    )
    arrive(config, pair, "update item set mood = 'happy', amount = amount + 0.0001 where code = 'b'", query=query)
    arrive(
        config,
        pair,
        "update item set code = 'A' where code = 'b'",
        "update item set code = 'b' where code = 'B'",
        query=query,
    )
    assert [code for code, *_ in pair[1].rows("select code from shown order by code")] == ["A", "a"]
