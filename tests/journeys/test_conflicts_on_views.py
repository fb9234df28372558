"""Conflicts of rows that are sent to views: found by the rows of the table behind them, whichever view they came by."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import apply, databases
from cdc_sync.config import Config
from cdc_sync.core.letters import State
from tests.commands.conftest import run
from tests.conftest import Make
from tests.nodes import Row, Side, install, letters, replicate, write_config

KINDS = pytest.mark.parametrize("kinds", [("sqlite", "postgresql"), ("postgresql", "sqlite")], ids="-".join)
SCHEMA = """
create table subject (id {pk}, code varchar(20) not null unique, kind varchar(10) not null, note text, age integer);
create view infant as select code, note, age from subject where kind = 'infant';
create view adult as select code as name, note as remark, age from subject where kind = 'adult';
"""
VIEWS = {"infant": ["code"], "adult": ["name"]}
EVERYBODY = "select code, kind, note, age from subject order by code"


class Field:
    """Two laptops with views, and a server with the same ones."""

    def __init__(self, make_side: Make, folder: Path, kinds: Sequence[str], **entry: str) -> None:
        self.server = make_side(kinds[1], "server")
        self.server.script(SCHEMA)
        self.laptops: dict[str, Side] = {}
        self.configs: dict[str, Config] = {}
        for name in ("one", "two"):
            self.laptops[name] = make_side(kinds[0], name)
            self.laptops[name].script(SCHEMA)
            views: dict[str, Any] = {view: {"key": key, **entry} for view, key in VIEWS.items()}
            self.configs[name] = write_config(folder, name, self.laptops[name], self.server, {}, views=views)
            install(self.configs[name])

    def send(self, name: str, *statements: str, at: str = "") -> None:
        side = self.laptops[name]
        with side.transaction():
            for statement in statements:
                side.run(statement)
        if at:
            ours = "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"
            ((change,),) = side.rows(f"select distinct change_table from {ours}captured where change_table <> ''")
            change = f"cdc_sync.{change}" if side.kind == "postgresql" else change
            moment = f"'{at}+00'" if side.kind == "postgresql" else f"julianday('{at}')"
            side.run(f"update {change} set cdc_sync_captured_at = {moment}")
        replicate(self.configs[name])

    def everybody(self) -> list[Row]:
        return self.server.rows(EVERYBODY)

    def conflicts(self) -> list[Row]:
        ours = "cdc_sync." if self.server.kind == "postgresql" else "cdc_sync_"
        return self.server.rows(f"select table_name, kind, outcome from {ours}conflict order by id")


@KINDS
def test_rows_of_two_laptops_meet_in_the_table_whichever_view_they_came_by(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    field = Field(make_side, tmp_path, kinds, conflict="target_wins")
    field.send("one", "insert into subject (code, kind, note) values ('s', 'infant', 'one')")
    field.send("two", "insert into subject (code, kind, note) values ('s', 'adult', 'two')")
    assert field.everybody() == [("s", "infant", "one", None)]
    assert field.conflicts() == [("adult", "insert_exists", "target")]
    field.send("one", "update subject set kind = 'adult', note = 'grown'")
    assert field.everybody() == [("s", "adult", "grown", None)]
    assert len(field.conflicts()) == 1


@KINDS
def test_the_newest_change_wins_across_views(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    field = Field(make_side, tmp_path, kinds, conflict="newest_wins")
    field.send("one", "insert into subject (code, kind, note) values ('s', 'infant', 'one')", at="2026-01-02 10:00:00")
    field.send("two", "insert into subject (code, kind, note) values ('s', 'adult', 'two')", at="2026-01-01 10:00:00")
    assert field.everybody() == [("s", "infant", "one", None)]
    field.send("one", "update subject set kind = 'adult'", at="2026-01-03 10:00:00")
    assert field.everybody() == [("s", "adult", "one", None)]
    field.send("two", "update subject set note = 'newer'", at="2026-01-04 10:00:00")
    assert field.everybody() == [("s", "adult", "newer", None)]
    field.send("one", "delete from subject", at="2026-01-05 10:00:00")
    field.send("two", "update subject set kind = 'infant', note = 'older'", at="2026-01-04 12:00:00")
    assert field.everybody() == []


@KINDS
def test_a_conflict_on_a_view_is_held_and_decided(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    field = Field(make_side, tmp_path, kinds, conflict="manual")
    field.send("one", "insert into subject (code, kind, note) values ('s', 'infant', 'one')")
    field.send("two", "insert into subject (code, kind, note) values ('s', 'infant', 'two')")
    (letter,) = letters(field.server)
    assert (letter.table, letter.state) == ("infant", State.HELD)
    with databases.connect(field.server.url) as server:
        apply.decide(server, letter, field.configs["two"].policies, for_source=True)
    assert field.everybody() == [("s", "infant", "two", None)]
    assert letters(field.server) == []


@KINDS
def test_columns_are_merged_through_a_view(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    field = Field(make_side, tmp_path, kinds, merge="columns")
    for name in ("one", "two"):
        field.send(name, "insert into subject (code, kind, note, age) values ('s', 'infant', 'x', 1)")
    field.send("one", "update subject set note = 'one'")
    field.send("two", "update subject set age = 2")
    assert field.everybody() == [("s", "infant", "one", 2)]


@KINDS
def test_what_the_server_wrote_itself_is_known_where_it_sends_the_table(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    """The server is a node too, and captures the table that the view shows: its unsealed changes are its own."""
    field = Field(make_side, tmp_path, kinds, conflict="newest_wins")
    there = make_side(kinds[1], "central")
    there.script(SCHEMA)
    install(
        write_config(tmp_path, "server", field.server, there, {"subject": {"key": ["code"], "conflict": "newest_wins"}})
    )
    field.send("one", "insert into subject (code, kind, note) values ('s', 'infant', 'one')", at="2026-01-02 10:00:00")
    field.server.run("update subject set note = 'here'")
    field.send("one", "update subject set note = 'late'", at="2026-01-03 10:00:00")
    assert field.everybody() == [("s", "infant", "here", None)]
    ours = "cdc_sync." if field.server.kind == "postgresql" else "cdc_sync_"
    assert field.server.rows(f"select met_origin, outcome from {ours}conflict") == [("server", "target")]


@KINDS
def test_a_row_that_did_not_belong_is_taken_once_the_view_is_mended(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    field = Field(make_side, tmp_path, kinds)
    field.server.run("drop view infant")
    field.server.run("create view infant as select code, note, age from subject where kind = 'infant' and age < 3")
    field.send(
        "one", "insert into subject (code, kind, note, age) values ('s', 'infant', 'one', 4), ('t', 'infant', 'x', 1)"
    )
    assert [row[0] for row in field.everybody()] == ["t"]
    assert run("dead-letters retry --at server", field.configs["one"]).exit_code == 3
    assert len(letters(field.server)) == 1
    field.server.run("drop view infant")
    field.server.run("create view infant as select code, note, age from subject where kind = 'infant' and age < 5")
    result = run("dead-letters retry --at server", field.configs["one"])
    assert result.exit_code == 0, result.output
    assert [row[0] for row in field.everybody()] == ["s", "t"]
