"""On SQLite, rows that REPLACE removes are deleted on the server too, although no delete trigger fires for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.nodes import Shape, Side, by_natural_key, install, replicate, waiting, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, phone text unique, note text);
create table visit (
    id {pk}, code text not null, note text,
    subject_id integer not null references subject (id) on delete cascade on update cascade,
    unique (subject_id, code));
"""
SHAPES = (
    Shape("subject", ("code",), ("phone", "note")),
    Shape("visit", ("subject_id>subject.code", "code"), ("note",)),
)
Journey = tuple[Side, Side, Config]


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, make_side: Callable[..., Side]) -> Side:
    return make_side(request.param, "target")


@pytest.fixture(params=["off", "on"])
def journey(request: pytest.FixtureRequest, target: Side, make_side: Callable[..., Side], tmp_path: Path) -> Journey:
    """Four subjects with a visit each, replicated; recursive_triggers off and on."""
    source = make_side("sqlite", "source")
    for side in (source, target):
        side.script(SCHEMA)
    source.run(f"pragma recursive_triggers = {request.param}")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"], "visit": ["subject_id", "code"]})
    install(config)
    for i in range(1, 5):
        source.run("insert into subject (id, code, phone, note) values (?, ?, ?, 'old')", (i, f"s{i}", f"p{i}"))
        source.run("insert into visit (subject_id, code) values (?, 'v')", (i,))
    replicate(config)
    return source, target, config


STATEMENTS = {
    "replace, same primary key and key": "replace into subject (id, code, phone) values (2, 's2', 'p2')",
    "replace, same primary key": "replace into subject (id, code, phone) values (2, 's9', 'p9')",
    "replace, same key": "replace into subject (code, phone) values ('s2', 'p9')",
    "insert or replace, a secondary unique key": "insert or replace into subject (code, phone) values ('s9', 'p2')",
    "two rows for one": "insert or replace into subject (code, phone) values ('s2', 'p3')",
    "three rows for one": "insert or replace into subject (id, code, phone) values (1, 's2', 'p3')",
    "update or replace": "update or replace subject set code = 's2' where id = 3",
    "update or replace, a secondary unique key": "update or replace subject set phone = 'p2' where id = 3",
    "update or replace, the primary key": "update or replace subject set id = 2 where id = 3",
    "update or replace, many rows": "update or replace subject set phone = 'same' where id > 1",
    "several rows": "insert or replace into subject (code, phone) values ('s2', 'p9'), ('s9', 'p9'), ('s3', 'p3')",
    "or ignore": "insert or ignore into subject (code, phone, note) values ('s2', 'p9', 'ignored')",
    "update or ignore": "update or ignore subject set code = 's2' where id = 3",
    "do nothing": "insert into subject (code, phone) values ('s2', 'p9') on conflict do nothing",
    "do update": "insert into subject (code, phone) values ('s2', 'p9') on conflict (code) do update set note = 'new'",
    "do update of the key": (
        "insert into subject (code, phone) values ('s2', 'p9') on conflict (code) do update set code = 's7'"
    ),
    "returning": "insert or replace into subject (code, phone) values ('s2', 'p9') returning id, code",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_rows_removed_by_replace_are_deleted_on_the_server(journey: Journey, statement: str) -> None:
    source, target, config = journey
    source.run(statement)
    replicate(config)
    for shape in SHAPES:
        assert by_natural_key(target, shape) == by_natural_key(source, shape)
    assert waiting(config) == 0


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_replace_amid_other_changes_of_one_batch(journey: Journey, statement: str) -> None:
    """The row that is removed was made, renamed or deleted and made again in the same batch."""
    source, target, config = journey
    source.run("update subject set code = 's0' where id = 2")
    source.run("update subject set code = 's2' where id = 2")
    source.run("delete from subject where id = 3")
    source.run("insert into subject (id, code, phone) values (3, 's3', 'p3')")
    source.run(statement)
    source.run("update subject set note = 'later' where code = 's9' or id = 3")
    source.run("insert or ignore into subject (id, code, phone) values (2, 's2', 'p2')")
    replicate(config)
    for shape in SHAPES:
        assert by_natural_key(target, shape) == by_natural_key(source, shape)


def test_a_table_that_resolves_conflicts_by_replace_itself(
    target: Side, make_side: Callable[..., Side], tmp_path: Path
) -> None:
    source = make_side("sqlite", "source")
    source.script("create table subject (id {pk}, code text not null unique on conflict replace, note text)")
    target.script("create table subject (id {pk}, code text not null unique, note text)")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code, note) values ('a', 'first'), ('b', 'first')")
    replicate(config)
    source.run("insert into subject (code, note) values ('a', 'second')")
    source.run("update subject set code = 'a' where code = 'b'")
    replicate(config)
    assert target.rows("select code, note from subject") == source.rows("select code, note from subject")


def test_conflicts_of_conditional_and_collated_indexes_count_too(
    target: Side, make_side: Callable[..., Side], tmp_path: Path
) -> None:
    source = make_side("sqlite", "source")
    schema = "create table subject (id {pk}, code text not null unique, phone text, note text)"
    source.script(schema)
    target.script(schema)
    source.script(
        "create unique index a on subject (phone collate nocase); "
        "create unique index b on subject (note) where note <> 'free'"
    )
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code, phone, note) values ('a', 'x', '1'), ('b', 'y', '2'), ('c', 'z', '3')")
    replicate(config)
    source.run("insert or replace into subject (code, phone, note) values ('d', 'X', 'free')")
    source.run("insert or replace into subject (code, phone, note) values ('e', 'w', '2')")
    replicate(config)
    query = "select code from subject order by code"
    assert target.rows(query) == source.rows(query) == [("c",), ("d",), ("e",)]
