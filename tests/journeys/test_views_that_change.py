"""A view that becomes another one is followed: what came into it is sent, what left it is taken away, and no more."""

from pathlib import Path

import pytest

from cdc_sync import capture, databases, doctor, follow
from cdc_sync import config as configuration
from cdc_sync.config import Config
from cdc_sync.errors import ConfigError
from tests.nodes import Side, install, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, kind text, weight integer, note text);
create view infant as select code as code, weight as weight from subject where kind = 'infant';
"""
SERVER = "create table infant (id {pk}, code text not null unique, weight integer, note text);"
ROWS = "insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 9), ('s3', 'child', 12)"
SHOWN = "select code, weight from infant order by code"


class Node:
    def __init__(self, pair: tuple[Side, Side], folder: Path) -> None:
        self.source, self.target = pair
        self.source.script(SCHEMA)
        self.target.script(SERVER)
        self.folder = folder
        self.config = self.write()
        install(self.config)
        self.arrive(ROWS)

    def write(self, **view: object) -> Config:
        return write_config(
            self.folder, "laptop", self.source, self.target, {}, views={"infant": {"key": ["code"]} | view}
        )

    def redefine(self, definition: str) -> None:
        """Another definition for the view, as the database has one written."""
        if self.source.kind == "postgresql":
            self.source.run(f"create or replace view infant as {definition}")
        else:
            self.source.script(f"drop view infant; create view infant as {definition};")

    def arrive(self, *statements: str) -> list[int]:
        """Write, replicate and compare; returns how many changes each batch so far held."""
        for statement in statements:
            self.source.run(statement)
        replicate(self.config)
        assert self.target.rows(SHOWN) == self.source.rows(SHOWN)
        outbox = "cdc_sync.outbox" if self.source.kind == "postgresql" else "cdc_sync_outbox"
        sealed = self.source.rows(f"select rows from {outbox} order by number desc limit 1")
        return [int(rows) for (rows,) in sealed]


@pytest.fixture
def node(pair: tuple[Side, Side], tmp_path: Path) -> Node:
    return Node(pair, tmp_path)


def test_rows_that_a_new_condition_lets_in_or_keeps_out_are_the_only_ones_sent(node: Node) -> None:
    node.redefine("select code as code, weight as weight from subject where weight > 5")
    assert node.arrive() == [2]
    assert [code for code, _ in node.target.rows(SHOWN)] == ["s2", "s3"]
    node.arrive("update subject set weight = 2 where code = 's2'", "update subject set weight = 6 where code = 's1'")


def test_what_was_written_before_is_sent_as_the_view_was(node: Node) -> None:
    """Deleted while the view showed it: by the time it is sealed, the view would show it no more."""
    node.source.run("delete from subject where code = 's1'")
    node.source.run("update subject set code = 's9' where code = 's2'")
    node.redefine("select code as code, weight as weight from subject where kind = 'child'")
    node.arrive()
    assert [code for code, _ in node.target.rows(SHOWN)] == ["s3"]


def test_a_column_of_the_table_is_renamed_under_the_view(node: Node) -> None:
    node.source.run("alter table subject rename column kind to sort")
    node.arrive("update subject set sort = 'infant' where code = 's3'")
    node.source.run("alter table subject rename column weight to grams")
    node.arrive("update subject set sort = 'child' where code = 's1'", "update subject set grams = 1 where code = 's2'")
    assert [code for code, _ in node.target.rows(SHOWN)] == ["s2", "s3"]


def test_the_key_of_the_table_is_renamed_under_the_view(node: Node) -> None:
    node.source.run("alter table subject rename column code to number")
    node.arrive("update subject set number = 's7' where number = 's1'", "delete from subject where number = 's2'")


def test_rows_are_sent_again_where_the_view_shows_more_of_them(node: Node) -> None:
    node.source.run("update subject set note = 'noted'")
    node.redefine("select code as code, weight as weight, note as note from subject where kind = 'infant'")
    assert node.arrive() == [2]
    assert node.target.rows("select code, note from infant order by code") == [("s1", "noted"), ("s2", "noted")]
    node.arrive("update subject set note = 'again' where code = 's1'")
    assert node.target.rows("select note from infant where code = 's1'") == [("again",)]


def test_a_filter_of_the_file_that_becomes_another_one_sends_what_comes_and_takes_what_goes(node: Node) -> None:
    node.config = node.write(where="weight > 5")
    install(node.config)
    replicate(node.config)
    assert node.target.rows("select code from infant") == [("s2",)]
    node.config = node.write(where="weight > 2")
    install(node.config)
    assert node.arrive() == [1]


def test_a_view_that_is_no_proxy_any_more_is_refused_by_the_clause_and_nothing_is_lost(node: Node) -> None:
    node.source.run("update subject set weight = 4 where code = 's1'")
    before = "select code as code, weight as weight from subject where kind = 'infant'"
    node.redefine(f"{before} limit 1")
    with pytest.raises(ConfigError, match="is no proxy of one table: it has a limit"):
        replicate(node.config)
    node.redefine(before)
    node.arrive()


def test_a_view_that_is_dropped_is_named(node: Node) -> None:
    node.source.run("drop view infant")
    with pytest.raises(ConfigError, match="no view 'infant'"):
        replicate(node.config)


def test_the_doctor_says_that_a_view_has_become_another_one(node: Node) -> None:
    node.redefine("select code as code, weight as weight from subject where weight > 5")
    with databases.connect(node.config.node.database, node.config.folder) as database:
        found = [finding for finding in doctor.examine(database, node.config) if finding.subject == "infant"]
    assert [finding.message for finding in found] == [
        "the view has become another one since its triggers were installed"
    ]


def test_a_view_is_paused_at_its_table(node: Node) -> None:
    with (
        databases.connect(node.config.node.database, node.config.folder) as database,
        pytest.raises(ConfigError, match="view 'infant' is captured at table 'subject'"),
    ):
        follow.pause(database, node.config, ["infant"])


def test_a_view_that_the_file_names_no_more_is_named(node: Node) -> None:
    node.config.path.write_text(
        node.config.path.read_text(encoding="utf-8").replace("[[views]]", "[[tables]]").replace("infant", "subject"),
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="view 'infant' is captured but no longer configured"):
        install(configuration.load(node.config.path))


def test_changes_wait_while_the_view_is_followed_by_whoever_installs(node: Node) -> None:
    node.source.run("delete from subject where code = 's1'")
    node.redefine("select code as code, weight as weight from subject where kind = 'child'")
    install(node.config)
    node.arrive()
    with databases.connect(node.config.node.database, node.config.folder) as database:
        assert {r.state for r in capture.install(database, node.config, include_existing=False)} == {"unchanged"}
