"""The application's own triggers change the row that is just being written, before or after ours see it."""

from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text, version integer not null default 0);
"""
SHAPE = Shape("subject", ("code",), ("note", "version"))

TRIGGERS = {
    "sqlite": """
        create trigger {name}_i after insert on subject begin
            update subject set {change} where id = new.id;
        end;
        create trigger {name}_u after update of note on subject begin
            update subject set {change} where id = new.id;
        end;
    """,
    "postgresql": """
        create function {name}() returns trigger language plpgsql as $$
            begin update subject set {change} where id = new.id; return null; end $$;
        create trigger {name}_i after insert on subject for each row execute function {name}();
        create trigger {name}_u after update of note on subject for each row execute function {name}();
    """,
}
CHANGES = {
    "a value": "version = version + 1",
    "the key": "code = upper(code)",
    "both": "version = version + 1, code = upper(code)",
}


def create_trigger(side: Side, name: str, change: str) -> None:
    side.script(TRIGGERS[side.kind].format(name=name, change=change))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("moment", ["before ours", "after ours", "both"])
@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_the_row_arrives_as_it_stands_in_the_end(
    pair: tuple[Side, Side], tmp_path: Path, change: str, moment: str, name: str
) -> None:
    """Created before and after ours; PostgreSQL fires in the order of names, SQLite the newest first."""
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    if moment != "after ours":
        create_trigger(source, name, change)
    install(config)
    if moment != "before ours":
        create_trigger(source, f"{name}2", change)
    work(source, target, config)


def work(source: Side, target: Side, config: Config) -> None:
    source.run("insert into subject (code, note) values ('a', '1'), ('b', '1'), ('c', '1')")
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
    source.run("update subject set note = '2' where lower(code) <> 'c'")
    source.run("insert into subject (code, note) values ('d', '1')")
    source.run("update subject set code = 'e', note = '3' where lower(code) = 'd'")
    source.run("update subject set note = '4'")
    source.run("delete from subject where lower(code) = 'b'")
    source.run("insert into subject (code, note) values ('b', 'again')")
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
