"""Rows that are sent to a view of the target: to the table that it shows, under its names, with what its rows have.

The sources are plain tables, of which ``target`` says that they are views there: what proxy models were.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cdc_sync.config import Config
from cdc_sync.core.letters import State
from tests.nodes import Row, Side, install, letters, replicate, write_config

SOURCE = """
create table site (id {pk}, code varchar(10) not null unique);
create table infant (id {pk}, code varchar(20) not null unique, note text, site_id integer references site (id));
create table adult (id {pk}, code varchar(20) not null unique, note text, site_id integer references site (id));
create table visit (id {pk}, infant_id integer not null references infant (id), number integer not null, what text,
    unique (infant_id, number));
"""
TARGET = """
create table site (id {pk}, code varchar(10) not null unique);
create table subject (
    id {pk}, subject_code varchar(20) not null unique, kind varchar(10) not null, remark text,
    site_id integer references site (id), secret text default 'kept');
create view infant (id, code, note, site_id) as
    select id, subject_code, remark, site_id from subject where kind = 'infant';
create view adult as select subject_code as code, remark as note, site_id from subject where kind = 'adult';
create table visit (id {pk}, infant_id integer not null references subject (id), number integer not null, what text,
    unique (infant_id, number));
insert into site (id, code) values (70, 'z');
insert into subject (id, subject_code, kind, remark) values (500, 'there', 'adult', 'their own');
"""
TABLES: dict[str, Any] = {
    "site": ["code"],
    "infant": ["code"],
    "adult": ["code"],
    "visit": ["infant_id", "number"],
}
SITE = "insert into site (id, code) values (1, 'a')"
SUBJECTS = "select subject_code, kind, remark, secret from subject where subject_code <> 'there' order by 1"


class Walk:
    """A source and a server, and what the server's tables hold."""

    def __init__(self, pair: tuple[Side, Side], config: Config) -> None:
        self.source, self.target, self.config = *pair, config

    def send(self, *statements: str) -> list[str]:
        """Write at the source in one transaction, and replicate; returns what is said of rows that are put aside."""
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)
        replicate(self.config)
        return [letter.message for letter in letters(self.target)]

    def subjects(self) -> list[Row]:
        return self.target.rows(SUBJECTS)

    def conflicts(self) -> list[Row]:
        ours = "cdc_sync." if self.target.kind == "postgresql" else "cdc_sync_"
        return self.target.rows(f"select kind, outcome from {ours}conflict order by id")


Start = Callable[..., Walk]


@pytest.fixture
def start(pair: tuple[Side, Side], tmp_path: Path) -> Start:
    def make(source: str = SOURCE, target: str = TARGET, tables: Mapping[str, Any] = TABLES) -> Walk:
        pair[0].script(source)
        pair[1].script(target)
        config = write_config(tmp_path, "laptop", *pair, tables)
        install(config)
        return Walk(pair, config)

    return make


def test_rows_for_a_proxy_stand_in_its_table_with_what_its_rows_have(start: Start) -> None:
    walk = start()
    assert (
        walk.send(
            SITE,
            "insert into infant (id, code, note, site_id) values (1, 'i', 'small', 1), (2, 'j', null, null)",
            "insert into adult (id, code, note) values (1, 'k', 'tall')",
        )
        == []
    )
    assert walk.subjects() == [
        ("i", "infant", "small", "kept"),
        ("j", "infant", None, "kept"),
        ("k", "adult", "tall", "kept"),
    ]
    site = "select s.code from subject b join site s on s.id = b.site_id"
    assert walk.target.rows(site) == [("a",)]
    walk.target.run("update subject set secret = 'theirs'")
    assert (
        walk.send(
            "update infant set note = 'larger' where id = 1", "delete from adult", "delete from infant where id = 2"
        )
        == []
    )
    assert walk.subjects() == [("i", "infant", "larger", "theirs")]
    assert walk.conflicts() == []


def test_children_hang_on_the_table_that_their_parents_view_shows(start: Start) -> None:
    walk = start()
    walk.target.run("insert into subject (id, subject_code, kind) values (499, 'before', 'infant')")
    assert (
        walk.send(
            "insert into infant (id, code) values (1, 'i')",
            "insert into visit (id, infant_id, number, what) values (1, 1, 1, 'first')",
        )
        == []
    )
    assert (
        walk.send(
            "update infant set code = 'I' where id = 1", "insert into visit (id, infant_id, number) values (2, 1, 2)"
        )
        == []
    )
    visits = "select b.subject_code, v.number, v.what from visit v join subject b on b.id = v.infant_id order by 2"
    assert walk.target.rows(visits) == [("I", 1, "first"), ("I", 2, None)]


@pytest.mark.parametrize("way", ["infant to adult", "adult to infant"])
def test_a_row_that_moves_to_another_view_of_the_table_stays_the_row_that_it_is(start: Start, way: str) -> None:
    walk = start()
    old, new = way.split(" to ")
    walk.send(
        f"insert into {old} (id, code, note) values (1, 'i', 'x')", f"insert into {old} (id, code) values (2, 'j')"
    )
    walk.target.run("update subject set secret = 'theirs'")
    before = walk.target.rows("select id from subject where subject_code = 'i'")
    moved = [f"delete from {old} where code = 'i'", f"insert into {new} (id, code, note) values (1, 'i', 'y')"]
    more = [f"update {old} set note = 'more' where code = 'j'", f"insert into {old} (id, code) values (3, 'k')"]
    assert walk.send(*moved, *more) == []
    assert walk.subjects() == [
        ("i", new, "y", "theirs"),
        ("j", old, "more", "theirs"),
        ("k", old, None, "kept"),
    ]
    assert walk.target.rows("select id from subject where subject_code = 'i'") == before
    assert walk.conflicts() == []


def test_a_row_that_left_the_view_at_the_server_is_not_deleted_for_it(start: Start) -> None:
    walk = start()
    walk.send("insert into infant (id, code) values (1, 'i'), (2, 'j')")
    walk.target.run("update subject set kind = 'adult' where subject_code = 'i'")
    assert walk.send("delete from infant") == []
    assert walk.subjects() == [("i", "adult", None, "kept")]


def test_a_row_that_is_in_another_view_at_the_server_is_found_by_its_key(start: Start) -> None:
    walk = start()
    assert walk.send("insert into infant (id, code, note) values (1, 'there', 'ours')") == []
    assert walk.target.rows("select id, kind, remark from subject") == [(500, "infant", "ours")]
    assert walk.conflicts() == [("insert_exists", "source")]


GUARDED = TARGET.replace("where kind = 'infant'", "where kind = 'infant' and site_id is not null and remark <> 'no'")


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
def test_a_row_that_does_not_belong_is_a_dead_letter_and_nothing_waits_for_it(start: Start, together: bool) -> None:
    walk = start(target=GUARDED)
    walk.send(SITE)
    good = "insert into infant (id, code, note, site_id) values (1, 'i', 'x', 1), (2, 'j', 'x', 1)"
    bad = (
        "insert into infant (id, code, note, site_id) values (3, 'k', 'no', 1), (4, 'l', 'x', null), (5, 'm', null, 1)"
    )
    aside = walk.send(good, bad) if together else walk.send(good) + walk.send(bad)
    assert len(aside) == 3
    assert [row[0] for row in walk.subjects()] == ["i", "j"]
    assert {letter.state for letter in letters(walk.target)} == {State.DEAD}
    assert all("does not belong to view 'infant': its condition is" in message for message in aside)
    assert walk.send("update infant set note = 'y', site_id = 1") == []
    assert [row[0] for row in walk.subjects()] == ["i", "j", "k", "l", "m"]


def test_an_update_that_would_take_a_row_out_of_the_view_is_not_half_done(start: Start) -> None:
    walk = start(target=GUARDED)
    walk.send(SITE, "insert into infant (id, code, note, site_id) values (1, 'i', 'x', 1), (2, 'j', 'x', 1)")
    changes = "update infant set note = 'no' where id = 1", "update infant set note = 'yes' where id = 2"
    assert len(walk.send(*changes)) == 1
    assert walk.subjects() == [("i", "infant", "x", "kept"), ("j", "infant", "yes", "kept")]


CONSTANT = """
create table subject (id {pk}, code varchar(20) not null unique, kind varchar(10) not null, remark text);
create view infant as
    select id, code, 'infant' as kind, upper(code) as remark, remark as note from subject where kind = 'infant';
"""
KINDS = "create table infant (id {pk}, code varchar(20) not null unique, kind varchar(10), remark text, note text);"


def test_what_a_view_makes_is_not_written_and_its_constants_are_compared(start: Start) -> None:
    walk = start(KINDS, CONSTANT, {"infant": ["code"]})
    one, other = "(1, 'i', 'infant', 'not written', 'n')", "(2, 'j', 'adult', null, null)"
    assert len(walk.send(f"insert into infant (id, code, kind, remark, note) values {one}, {other}")) == 1
    assert walk.target.rows("select code, kind, remark from subject") == [("i", "infant", "n")]
    assert "column 'kind' is always 'infant'" in letters(walk.target)[0].message
    assert walk.send("update infant set kind = 'infant' where id = 2") == []
    assert walk.target.rows("select code, kind from subject order by 1") == [("i", "infant"), ("j", "infant")]


PINNED = """
create table subject (id {pk}, kind varchar(10) not null, code varchar(20) not null, note text, unique (kind, code));
create view infant as select code, note from subject where kind = 'infant';
create view adult as select code, note from subject where kind = 'adult';
"""
BOTH = "create table {0} (id {{pk}}, code varchar(20) not null unique, note text);"


def test_what_a_view_fixes_may_be_a_part_of_the_key(start: Start) -> None:
    """Then rows of two views are never one row, whatever their keys are."""
    source = BOTH.format("infant") + BOTH.format("adult")
    walk = start(source, PINNED, {"infant": ["code"], "adult": ["code"]})
    walk.send(
        "insert into infant (id, code, note) values (1, 'x', 'small')",
        "insert into adult (id, code, note) values (1, 'x', 'tall')",
    )
    everybody = "select kind, code, note from subject order by 1, 2"
    assert walk.target.rows(everybody) == [("adult", "x", "tall"), ("infant", "x", "small")]
    assert (
        walk.send("update infant set code = 'y'", "delete from adult", "insert into infant (id, code) values (2, 'x')")
        == []
    )
    assert walk.target.rows(everybody) == [("infant", "x", None), ("infant", "y", "small")]


def test_two_laptops_rows_of_one_view_are_one_row(make_side: Any, tmp_path: Path) -> None:
    server = make_side("postgresql", "server")
    server.script(TARGET)
    for name in ("one", "two"):
        laptop = make_side("sqlite", name)
        laptop.script(SOURCE)
        config = write_config(
            tmp_path, name, laptop, server, {**TABLES, "infant": {"key": ["code"], "conflict": "target_wins"}}
        )
        install(config)
        laptop.run("insert into infant (id, code, note) values (1, 'i', ?)", (name,))
        replicate(config)
    assert server.rows(SUBJECTS) == [("i", "infant", "one", "kept")]
