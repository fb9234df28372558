"""What a node may do to a table is kept row by row: one that may insert writes over no row, whoever wrote that."""

import json
from pathlib import Path
from typing import Any

import pytest

from cdc_sync.config import Config
from tests.commands.conftest import run
from tests.nodes import Side, install, letters, replicate, write_config
from tests.serving import write
from tests.sticks import key_of

SUBJECT = "create table subject (id {pk}, code varchar(10) not null unique, note text);"
ROWS = "select code, note from subject order by code"


def limited(pair: tuple[Side, Side], folder: Path, *grants: str, **entry: Any) -> tuple[Side, Side, Config, Config]:
    """A laptop and a server that lets it do so much; the server has rows of its own."""
    source, target = pair
    for side in pair:
        side.script(SUBJECT)
    config = write_config(folder, "laptop", source, target, {"subject": {"key": ["code"], **entry}})
    install(config)
    server = write(folder, "server", target)
    options = [part for grant in grants for part in ("--table", grant)]
    assert run("enroll", server, "laptop", "--key", key_of(config), *options).exit_code == 0
    target.run("insert into subject (code, note) values ('mine', 'server'), ('same', 'both')")
    return source, target, config, server


def conflicts(server: Config) -> list[tuple[str, str]]:
    """Of each conflict, its kind and whose version stands."""
    return [(found["kind"], found["outcome"]) for found in json.loads(run("conflicts", server, "--json").stdout)]


@pytest.mark.parametrize("merge", ["rows", "columns"])
def test_a_node_that_may_insert_only_writes_over_no_row(pair: tuple[Side, Side], tmp_path: Path, merge: str) -> None:
    source, target, config, server = limited(pair, tmp_path, "subject:insert", operations=["insert"], merge=merge)
    source.run("insert into subject (code, note) values ('mine', 'laptop'), ('same', 'both'), ('new', 'first')")
    replicate(config)
    assert target.rows(ROWS) == [("mine", "server"), ("new", "first"), ("same", "both")]
    assert conflicts(server) == [("insert_exists", "target")]
    source.run("delete from subject where code = 'new'")
    source.run("insert into subject (code, note) values ('new', 'second'), ('next', 'first')")
    replicate(config)
    assert target.rows(ROWS) == [("mine", "server"), ("new", "first"), ("next", "first"), ("same", "both")]
    assert conflicts(server) == [("insert_exists", "target")] * 2
    assert letters(target) == []


def test_a_node_that_may_update_writes_over_rows_as_the_policy_says(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target, config, _ = limited(pair, tmp_path, "subject:insert,update", operations=["insert", "update"])
    source.run("insert into subject (code, note) values ('mine', 'laptop'), ('new', 'first')")
    replicate(config)
    source.run("update subject set note = 'second' where code = 'new'")
    replicate(config)
    assert target.rows(ROWS) == [("mine", "laptop"), ("new", "second"), ("same", "both")]
