"""Capture follows what becomes of a table: columns that come, go or change names, rebuilt tables, lost triggers."""

import sqlite3
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Shape, Side, compare, install, replicate, write_config

SCHEMA = "create table subject (id {pk}, code text not null unique, note text, age integer);"
SHAPE = Shape("subject", ("code",), ("note", "age"))
KINDS = ("sqlite", "postgresql")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def node(make_side: Make, tmp_path: Path, kind: str) -> tuple[Config, Side, Side]:
    """A node with two rows on the server, and changes that wait: one new row, one changed, one deleted."""
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code, note, age) values ('s1', 'a', 1), ('s2', 'b', 2), ('s3', 'c', 3)")
    replicate(config)
    source.run("insert into subject (code, note, age) values ('s4', 'd', 4)")
    source.run("update subject set note = 'changed' where code = 's1'")
    source.run("delete from subject where code = 's2'")
    return config, source, target


def between_postgresql(make_side: Make, folder: Path, schema: str = SCHEMA) -> tuple[Config, Side, Side]:
    """A node that captures the table in PostgreSQL, for a server there; both are empty."""
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    source.script(schema)
    target.script(SCHEMA)
    config = write_config(folder, "laptop", source, target, {"subject": ["code"]})
    install(config)
    return config, source, target


def both(source: Side, target: Side, statement: str) -> None:
    source.run(statement)
    target.run(statement)


def test_a_column_that_is_added_travels_and_nothing_that_waits_is_lost(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    both(source, target, "alter table subject add column email text")
    source.run("update subject set email = 'e', code = 's9' where code = 's1'")
    source.run("insert into subject (code, email) values ('s5', 'f')")
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("note", "age", "email")))


def test_rows_written_before_and_after_a_column_is_added_in_one_transaction_travel(
    node: tuple[Config, Side, Side],
) -> None:
    config, source, target = node
    target.run("alter table subject add column email text")
    with source.transaction():
        source.run("insert into subject (code) values ('s5')")
        source.run("alter table subject add column email text")
        source.run("insert into subject (code, email) values ('s6', 'f')")
        source.run("update subject set email = 'e' where code = 's5'")
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("note", "email")))


def test_a_column_that_comes_with_values_for_every_row_travels(node: tuple[Config, Side, Side]) -> None:
    """ALTER TABLE fills rows without a word to any trigger."""
    config, source, target = node
    source.run("alter table subject add column visits integer default 7")
    target.run("alter table subject add column visits integer")
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("visits",)))


def test_a_renamed_column_travels_under_its_new_name(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    both(source, target, "alter table subject rename column note to remark")
    source.run("update subject set remark = 'after' where code = 's4'")
    source.run("insert into subject (code, remark) values ('s5', 'new')")
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("remark", "age")))


def test_a_renamed_key_column_keeps_what_waits_once_the_file_names_it(
    node: tuple[Config, Side, Side],
) -> None:
    config, source, target = node
    both(source, target, "alter table subject rename column code to label")
    source.run("update subject set label = 's9' where label = 's4'")
    source.run("delete from subject where label = 's3'")
    config.path.write_text(config.path.read_text().replace('"code"', '"label"'))
    config = write_config(config.folder.parent, "laptop", source, target, {"subject": ["label"]})
    install(config)
    replicate(config)
    compare(source, target, Shape("subject", ("label",), ("note", "age")))


def test_a_dropped_column_breaks_no_write_and_what_waits_arrives(make_side: Make, tmp_path: Path) -> None:
    """On PostgreSQL the trigger functions follow in the same transaction."""
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code, note, age) values ('s1', 'a', 1), ('s2', 'b', 2)")
    with source.transaction():
        source.run("update subject set note = 'x' where code = 's1'")
        source.run("alter table subject drop column age")
        source.run("update subject set note = 'y' where code = 's1'")
        source.run("insert into subject (code) values ('s3')")
        source.run("delete from subject where code = 's2'")
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("note",)))


def rebuild(connection: sqlite3.Connection) -> None:
    """As Django and Alembic do it: new table, copy, drop, rename."""
    connection.executescript("""
        begin;
        create table "new__subject" (id integer primary key, code text not null unique, note text, age text);
        insert into "new__subject" select id, code, note, age from subject;
        drop table subject;
        alter table "new__subject" rename to subject;
        commit;
    """)


def test_a_rebuilt_table_is_captured_again_and_the_gap_is_closed(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code, note) values ('s1', 'a'), ('s2', 'b'), ('s3', 'c'), ('s4', 'd')")
    replicate(config)
    source.run("update subject set note = 'waits' where code = 's4'")
    source.run("delete from subject where code = 's3'")
    rebuild(source.connection)
    source.run("update subject set note = 'unseen' where code = 's1'")
    source.run("update subject set code = 'renamed' where code = 's4'")
    source.run("delete from subject where code = 's2'")
    source.run("insert into subject (code) values ('s5')")
    replicate(config)
    compare(source, target, SHAPE)
    source.run("insert into subject (code) values ('s6')")
    replicate(config)
    compare(source, target, SHAPE)


def test_rows_of_other_nodes_survive_when_a_gap_is_closed(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    target.run("insert into subject (code) values ('theirs')")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1'), ('s2')")
    replicate(config)
    rebuild(source.connection)
    source.run("delete from subject where code = 's1'")
    replicate(config)
    compare(source, target, SHAPE, others={"subject": {("theirs",): (None, None)}})


def test_lost_triggers_come_back_and_what_they_missed_is_sent(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    if source.kind == "postgresql":
        source.run("alter table subject disable trigger all")
    else:
        for (name,) in source.rows("select name from sqlite_master where type = 'trigger'"):
            source.run(f'drop trigger "{name}"')
    source.run("insert into subject (code) values ('s5')")
    source.run("update subject set note = 'unseen' where code = 's3'")
    replicate(config)
    compare(source, target, SHAPE)


def test_a_changed_type_is_read_again(make_side: Make, tmp_path: Path) -> None:
    config, source, target = between_postgresql(make_side, tmp_path)
    source.run("insert into subject (code, age) values ('s1', 1), ('s2', 2)")
    replicate(config)
    source.run("insert into subject (code, age) values ('s3', 3)")
    source.run("alter table subject alter column age type text using 'age ' || age")
    target.run("alter table subject alter column age type text")
    source.run("update subject set age = 'old' where code = 's2'")
    replicate(config)
    compare(source, target, SHAPE)


def test_a_column_that_is_worked_out_anew_and_keeps_its_type_is_read_again(
    make_side: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, source, target = between_postgresql(make_side, tmp_path)
    source.run("insert into subject (code, note, age) values ('s1', 'a', 1), ('s2', null, 2)")
    replicate(config)
    with source.transaction():
        source.run("update subject set age = 3 where code = 's1'")
        source.run("alter table subject alter column note type text using coalesce(note, 'none')")
        source.run("insert into subject (code, age) values ('s3', 3)")
    replicate(config)
    compare(source, target, SHAPE)
    source.run("alter table subject alter column id type bigint")
    replicate(config)
    assert "were not seen" not in caplog.text
    source.run("alter table subject alter column code type text using upper(code)")
    replicate(config)
    assert "a column of its key or filter was worked out anew. Rows that were deleted or given" in caplog.text
    assert target.rows("select count(*) from subject where code like 'S%'") == [(3,)]


PARTITIONED = """
create table subject (id integer generated by default as identity, code text not null, note text, age integer,
    primary key (id, code), unique (code)) partition by list (code);
create table subject_a partition of subject for values in ('a');
create table subject_rest partition of subject default;
"""


def test_rows_that_were_worked_out_anew_are_read_again_although_a_partition_went_too(
    make_side: Make, tmp_path: Path
) -> None:
    config, source, target = between_postgresql(make_side, tmp_path, PARTITIONED)
    source.run("insert into subject (code, age) values ('a', 1), ('b', 2)")
    replicate(config)
    source.run("alter table subject alter column note type text using coalesce(note, 'none')")
    source.run("drop table subject_a")
    replicate(config)
    assert target.rows("select code, note from subject order by code") == [("a", None), ("b", "none")]


def test_a_wider_primary_key_keeps_what_waits(make_side: Make, tmp_path: Path) -> None:
    config, source, target = between_postgresql(make_side, tmp_path)
    source.run("insert into subject (code, age) values ('s1', 1), ('s2', 2)")
    replicate(config)
    source.run("delete from subject where code = 's2'")
    source.run("update subject set code = 's9' where code = 's1'")
    source.run("alter table subject alter column id type bigint")
    source.run("update subject set age = 5")
    replicate(config)
    compare(source, target, SHAPE)
