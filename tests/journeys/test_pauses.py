"""Capture is paused and resumed: nothing fails meanwhile, and what happened meanwhile is sent afterwards."""

from pathlib import Path

import pytest

from cdc_sync import databases, follow
from cdc_sync.config import Config
from cdc_sync.errors import ConfigError
from tests.nodes import Shape, Side, compare, install, replicate, status, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, code text not null unique, note text);
"""
SUBJECT, VISIT = Shape("subject", ("code",), ("note",)), Shape("visit", ("code",), ("note",))


@pytest.fixture
def node(pair: tuple[Side, Side], tmp_path: Path) -> tuple[Config, Side, Side]:
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"], "visit": ["code"]})
    install(config)
    source.run("insert into subject (code, note) values ('s1', 'a'), ('s2', 'b'), ('s3', 'c')")
    source.run("insert into visit (code) values ('v1'), ('v2')")
    replicate(config)
    return config, source, target


def pause(config: Config, *tables: str) -> list[str]:
    with databases.connect(config.node.database, config.folder) as database:
        return follow.pause(database, config, tables)


def resume(config: Config, *tables: str) -> list[str]:
    with databases.connect(config.node.database, config.folder) as database:
        return follow.resume(database, config, tables)


def test_what_happens_during_a_pause_is_sent_after_it(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    source.run("update subject set note = 'before' where code = 's3'")
    assert pause(config) == ["subject", "visit"]
    source.run("delete from subject where code = 's1'")
    source.run("update subject set code = 's9' where code = 's2'")
    source.run("insert into subject (code) values ('s1')")
    source.run("delete from visit")
    replicate(config)
    assert resume(config) == ["subject", "visit"]
    source.run("update subject set note = 'after' where code = 's1'")
    replicate(config)
    compare(source, target, SUBJECT, VISIT)


def test_one_table_is_paused_and_the_other_travels(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    pause(config, "visit")
    source.run("delete from visit where code = 'v1'")
    source.run("delete from subject where code = 's1'")
    replicate(config)
    compare(source, target, SUBJECT)
    assert [code for (code,) in target.rows("select code from visit order by code")] == ["v1", "v2"]
    assert [(table.table, table.paused) for table in status(config).tables] == [("subject", False), ("visit", True)]
    resume(config, "visit")
    replicate(config)
    compare(source, target, SUBJECT, VISIT)
    assert not any(table.paused for table in status(config).tables)


def test_a_migration_during_a_pause_is_followed(node: tuple[Config, Side, Side]) -> None:
    """What SQLite refuses while a trigger names the column."""
    config, source, target = node
    pause(config, "subject")
    for side in (source, target):
        side.run("alter table subject drop column note")
        side.run("alter table subject add column age integer")
    source.run("update subject set age = 5 where code = 's1'")
    source.run("delete from subject where code = 's2'")
    resume(config)
    replicate(config)
    compare(source, target, Shape("subject", ("code",), ("age",)))


def test_pausing_twice_is_one_pause(node: tuple[Config, Side, Side]) -> None:
    config, source, target = node
    pause(config, "subject")
    source.run("delete from subject where code = 's1'")
    assert pause(config) == ["visit"]
    install(config)
    source.run("delete from subject where code = 's2'")
    resume(config)
    assert resume(config) == []
    replicate(config)
    compare(source, target, SUBJECT, VISIT)


def test_a_table_that_is_not_captured_cannot_be_paused(node: tuple[Config, Side, Side]) -> None:
    config, _, _ = node
    with pytest.raises(ConfigError, match="'subjekt'") as raised:
        pause(config, "subjekt")
    assert "subject" in raised.value.hint
