"""Rows that are sent to a view with triggers or rules of its own: these write them, and only what it shows is known."""

from pathlib import Path

import pytest

from cdc_sync.errors import SchemaMismatch
from tests.conftest import Make
from tests.nodes import Row, Side, install, letters, replicate, write_config

SOURCE = "create table person (id {pk}, code varchar(20) not null unique, note text, born integer);"
SCHEMA = """
create table subject (id {pk}, code varchar(20) not null unique, remark text);
create table birth (code varchar(20) primary key, year integer);
create table log (what varchar(10), code varchar(20));
"""
JOINED = """
create view person as select s.id, s.code, s.remark as note, b.year as born
    from subject s left join birth b on b.code = s.code where coalesce(s.remark, '') <> 'hidden';
"""
PROXY = """
create view person as select id, code, remark as note, length(remark) as born from subject
    where coalesce(remark, '') <> 'hidden';
"""
WRITES = {
    "insert": (
        "insert into subject (code, remark) values (new.code, new.note);"
        "insert into birth (code, year) values (new.code, new.born);"
    ),
    "update": (
        "update subject set code = new.code, remark = new.note where code = old.code;"
        "update birth set code = new.code, year = new.born where code = old.code;"
    ),
    "delete": "delete from birth where code = old.code; delete from subject where code = old.code;",
}


def fire(side: Side, view: str, *events: str) -> None:
    """Triggers that write what the view shows, and that they did."""
    for event in events:
        row = "old" if event == "delete" else "new"
        body = f"{WRITES[event]} insert into log (what, code) values ('{event}', {row}.code);"
        if side.kind == "sqlite":
            side.run(f"create trigger {view}_{event} instead of {event} on {view} begin {body} end")
        else:
            side.run(
                f"create function {view}_{event}() returns trigger language plpgsql as "
                f"'begin {body.replace(chr(39), chr(39) * 2)} return {row}; end'"
            )
            side.run(
                f"create trigger {view}_{event} instead of {event} on {view} "
                f"for each row execute function {view}_{event}()"
            )


RULES = """
create rule person_insert as on insert to person do instead (
    insert into subject (code, remark) values (new.code, new.note);
    insert into birth (code, year) values (new.code, new.born));
create rule person_update as on update to person do instead (
    update birth set code = new.code, year = new.born where code = old.code;
    update subject set code = new.code, remark = new.note where code = old.code);
create rule person_delete as on delete to person do instead (
    delete from birth where code = old.code; delete from subject where code = old.code);
"""
COME = "insert into person (id, code, note, born) values (1, 'a', 'x', 1990), (2, 'b', null, 1991)"
PEOPLE = "select s.code, s.remark, b.year from subject s left join birth b on b.code = s.code order by 1"


class Through:
    def __init__(self, pair: tuple[Side, Side], folder: Path) -> None:
        self.source, self.target = pair
        self.source.script(SOURCE)
        self.config = write_config(folder, "laptop", *pair, {"person": ["code"]})
        install(self.config)

    def send(self, *statements: str) -> list[str]:
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)
        replicate(self.config)
        return [letter.message for letter in letters(self.target)]

    def people(self) -> list[Row]:
        return self.target.rows(PEOPLE)


@pytest.fixture(params=["joined", "proxy"])
def through(request: pytest.FixtureRequest, pair: tuple[Side, Side], tmp_path: Path) -> Through:
    pair[1].script(SCHEMA + (JOINED if request.param == "joined" else PROXY))
    fire(pair[1], "person", "insert", "update", "delete")
    return Through(pair, tmp_path)


def test_rows_are_written_by_the_views_own_triggers(through: Through) -> None:
    through.target.run("insert into subject (id, code) values (900, 'own')")
    assert through.send(COME) == []
    assert through.people() == [("a", "x", 1990), ("b", None, 1991), ("own", None, None)]
    assert through.target.rows("select min(id) from subject where code <> 'own'")[0][0] != 900
    assert through.target.rows("select what, code from log order by 1, 2") == [("insert", "a"), ("insert", "b")]
    changes = ["update person set note = 'y', born = 1992 where id = 1", "delete from person where id = 2"]
    assert through.send(*changes, "insert into person (id, code) values (3, 'c')") == []
    assert through.people() == [("a", "y", 1992), ("c", None, None), ("own", None, None)]


def test_a_key_that_changes_is_changed_through_the_view(through: Through) -> None:
    through.send("insert into person (id, code, note) values (1, 'a', 'x'), (2, 'b', 'y')")
    assert through.send("update person set code = 'c' where id = 1") == []
    assert through.send("update person set code = 'a' where id = 2", "update person set note = 'z' where id = 1") == []
    assert through.people() == [("a", "y", None), ("c", "z", None)]


def test_a_row_that_is_there_already_is_brought_up_to_date(through: Through) -> None:
    through.target.run("insert into subject (code, remark) values ('a', 'theirs')")
    through.target.run("insert into birth (code, year) values ('a', 1980)")
    assert through.send(COME) == []
    assert through.people() == [("a", "x", 1990), ("b", None, 1991)]
    ours = "cdc_sync." if through.target.kind == "postgresql" else "cdc_sync_"
    assert through.target.rows(f"select kind, outcome from {ours}conflict") == [("insert_exists", "source")]


def test_a_row_that_the_view_does_not_show_once_it_is_written_does_not_belong(through: Through) -> None:
    aside = through.send("insert into person (id, code, note) values (1, 'a', 'x'), (2, 'b', 'hidden'), (3, 'c', 'z')")
    assert len(aside) == 1
    assert "does not belong to view 'person'" in aside[0]
    assert through.people() == [("a", "x", None), ("c", "z", None)]
    assert (
        len(through.send("update person set note = 'hidden' where id = 1", "update person set note = 'y' where id = 3"))
        == 2
    )
    assert through.people() == [("a", "x", None), ("c", "y", None)]
    assert through.send("update person set note = 'seen'") == []
    assert through.people() == [("a", "seen", None), ("b", "seen", None), ("c", "seen", None)]


def test_rules_of_a_view_write_rows_as_its_triggers_do(make_side: Make, tmp_path: Path) -> None:
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    pair[1].script(SCHEMA + JOINED + RULES)
    through = Through(pair, tmp_path)
    assert through.send(COME) == []
    assert (
        through.send("update person set note = 'y', born = 1992 where id = 1", "delete from person where id = 2") == []
    )
    assert through.people() == [("a", "y", 1992)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_view_that_nothing_writes_is_refused_with_what_it_lacks(make_side: Make, tmp_path: Path, kind: str) -> None:
    pair = make_side("sqlite", "source"), make_side(kind, "target")
    pair[1].script(SCHEMA + JOINED)
    through = Through(pair, tmp_path)
    with pytest.raises(SchemaMismatch, match=r"it has a join .*, and it takes no rows itself") as caught:
        through.send("insert into person (id, code) values (1, 'a')")
    assert "INSTEAD OF" in caught.value.hint
    fire(pair[1], "person", "insert", "update")
    with pytest.raises(SchemaMismatch, match="and not for insert, update and delete alike"):
        through.send()
    fire(pair[1], "person", "delete")
    assert through.send() == []
    assert through.people() == [("a", None, None)]


def test_a_view_that_its_server_can_write_is_written_though_it_is_no_proxy(make_side: Make, tmp_path: Path) -> None:
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    pair[1].script(
        SCHEMA + "create view person as select code, remark as note from subject "
        "where code not in (select code from birth) with check option"
    )
    pair[1].run("insert into birth (code) values ('b')")
    through = Through(pair, tmp_path)
    aside = through.send("insert into person (id, code, note, born) values (1, 'a', 'x', 1990), (2, 'b', 'y', 1991)")
    assert len(aside) == 1
    assert 'violates check option for view "person"' in aside[0]
    assert through.people() == [("a", "x", None)]
    assert len(through.send("update person set note = 'z'")) == 1
    assert through.people() == [("a", "z", None)]
