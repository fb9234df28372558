"""A server that calls tables and columns otherwise, and lacks columns that the laptop has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import apply, databases
from cdc_sync.config import Config
from cdc_sync.databases import Mode
from tests.conftest import PAIRS, Make
from tests.nodes import install, letters, replicate, write_config

LAPTOP = """
create table subject (id {pk}, code varchar(20) not null unique, dob date, note text,
    mate integer references subject (id));
create table subject_visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    seen varchar(20), unique (subject_id, number));
create table sample (id {pk}, visit_id integer not null references subject_visit (id), tube varchar(10) not null,
    unique (visit_id, tube));
"""
SERVER = """
create table {schema}person (person_no {pk}, remark text check (remark <> 'refused'), date_of_birth date,
    person_code varchar(20) not null unique, spouse integer references {schema}person (person_no));
create table {schema}visit (seen varchar(20), id {pk}, nr integer not null,
    person integer not null references {schema}person (person_no), unique (person, nr));
create table sample (id {pk}, visit_id integer not null references {schema}visit (id), tube varchar(10) not null,
    unique (visit_id, tube));
"""


class Field:
    """Two laptops that call things one way, and a server that calls them another."""

    def __init__(self, make_side: Make, folder: Path, kinds: Sequence[str], policy: str = "source_wins") -> None:
        self.schema = "clinic." if kinds[1] == "postgresql" else ""
        self.server = make_side(kinds[1], "server")
        self.server.script(("create schema clinic;" if self.schema else "") + SERVER.replace("{schema}", self.schema))
        self.laptops = {name: make_side(kinds[0], name) for name in ("one", "two")}
        self.configs: dict[str, Config] = {}
        for name, side in self.laptops.items():
            side.script(LAPTOP)
            self.configs[name] = write_config(folder, name, side, self.server, self.tables(policy))
            install(self.configs[name])

    def tables(self, policy: str) -> dict[str, Any]:
        person = {"id": "person_no", "code": "person_code", "dob": "date_of_birth", "note": "remark", "mate": "spouse"}
        visit = {"subject_id": "person", "number": "nr"}
        subject = {"key": ["code"], "target": f"{self.schema}person", "columns": person, "conflict": policy}
        return {
            "subject": subject,
            "subject_visit": {"key": ["subject_id", "number"], "target": f"{self.schema}visit", "columns": visit},
            "sample": ["visit_id", "tube"],
        }

    def send(self, name: str, *statements: str) -> dict[str, int]:
        with self.laptops[name].transaction():
            for statement in statements:
                self.laptops[name].run(statement)
        (delivered,) = replicate(self.configs[name])
        return dict(delivered.waiting)

    def people(self) -> dict[str, tuple[Any, ...]]:
        rows = self.server.rows(f"""select p.person_code, cast(p.date_of_birth as varchar(10)), p.remark, s.person_code
            from {self.schema}person p left join {self.schema}person s on s.person_no = p.spouse""")
        return {row[0]: tuple(row[1:]) for row in rows}

    def visits(self) -> set[tuple[Any, ...]]:
        return set(
            map(
                tuple,
                self.server.rows(f"""select p.person_code, v.nr, v.seen
                    from {self.schema}visit v join {self.schema}person p on p.person_no = v.person"""),
            )
        )

    def samples(self) -> set[tuple[Any, ...]]:
        return set(
            map(
                tuple,
                self.server.rows(f"""select p.person_code, v.nr, s.tube from sample s
                    join {self.schema}visit v on v.id = s.visit_id
                    join {self.schema}person p on p.person_no = v.person"""),
            )
        )

    def conflicts(self) -> list[tuple[str, str, str]]:
        with databases.connect(self.server.url) as server, server.begin(Mode.READ) as session:
            return [(row[4], row[6], row[8]) for row in session.run("conflicts")]


@pytest.fixture(params=PAIRS)
def kinds(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param.split("-"))


@pytest.fixture
def field(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> Field:
    return Field(make_side, tmp_path, kinds)


def test_rows_arrive_and_change_under_the_names_of_the_server(field: Field) -> None:
    field.server.run(f"insert into {field.schema}person (person_no, person_code) values (1, 'own')")
    field.send(
        "one",
        "insert into subject (id, code, dob, note) values (1, 'a', '1990-01-31', 'x'), (2, 'b', null, null)",
        "update subject set mate = 3 - id",
        "insert into subject_visit (id, subject_id, number, seen) values (1, 1, 1, 'yes'), (2, 2, 1, 'no')",
        "insert into sample (visit_id, tube) values (1, 't1'), (2, 't2')",
    )
    assert field.people() == {
        "own": (None, None, None), "a": ("1990-01-31", "x", "b"), "b": (None, None, "a")
    }  # fmt: skip
    assert field.visits() == {("a", 1, "yes"), ("b", 1, "no")}
    assert field.samples() == {("a", 1, "t1"), ("b", 1, "t2")}
    field.send(
        "one",
        "update subject set code = 'a2', note = 'y' where id = 1",
        "update subject_visit set number = 7, subject_id = 1 where id = 2",
        "delete from sample where tube = 't1'",
        "delete from subject_visit where id = 1",
        "update subject set dob = '1991-02-01', mate = null where id = 2",
    )
    assert field.people() == {
        "own": (None, None, None), "a2": ("1990-01-31", "y", "b"), "b": ("1991-02-01", None, None)
    }  # fmt: skip
    assert field.visits() == {("a2", 7, "no")}
    assert field.samples() == {("a2", 7, "t2")}


def test_a_child_waits_for_its_parent_under_the_names_of_the_server(field: Field) -> None:
    field.laptops["two"].run("insert into subject (id, code) values (9, 'late')")
    replicate(field.configs["two"])
    field.server.run(f"delete from {field.schema}person")
    waiting = field.send("two", "insert into subject_visit (id, subject_id, number) values (1, 9, 4)")
    assert waiting == {"deferred": 1}
    (letter,) = letters(field.server)
    assert (letter.table, letter.awaits) == (f"{field.schema}visit", f"{field.schema}person")
    field.send("one", "insert into subject (id, code) values (1, 'late')")
    assert field.visits() == {("late", 4, None)}
    assert letters(field.server) == []


def test_a_letter_is_tried_again_where_nobody_told_the_names(field: Field) -> None:
    """At the server itself, whose own file says nothing of the laptops' tables."""
    waiting = field.send("one", "insert into subject (id, code, note) values (1, 'a', 'refused')")
    assert waiting == {"dead": 1}
    (letter,) = letters(field.server)
    assert letter.table == f"{field.schema}person"
    with databases.connect(field.server.url) as server, server.begin(Mode.READ) as session:
        ((op, values),) = apply.letterbox.changes(session, letter)
    assert (op, values["person_code"], values["remark"]) == ("I", "a", "refused")
    assert field.send("one", "update subject set note = 'mended', code = 'b' where id = 1") == {}
    assert field.people() == {"b": (None, "mended", None)}


@pytest.mark.parametrize("policy", ["target_wins", "manual"])
def test_conflicts_are_found_and_decided_under_the_names_of_the_server(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], policy: str
) -> None:
    field = Field(make_side, tmp_path, kinds, policy)
    field.send("one", "insert into subject (id, code, note) values (1, 'a', 'one')")
    field.send("two", "insert into subject (id, code, note) values (1, 'a', 'two')")
    held = policy == "manual"
    assert field.conflicts() == [(f"{field.schema}person", "insert_exists", "held" if held else "target")]
    assert field.people()["a"][1] == "one"
    if held:
        (letter,) = letters(field.server)
        with databases.connect(field.server.url) as server:
            assert apply.decide(server, letter, for_source=True)
        assert field.people()["a"][1] == "two"
        assert field.conflicts() == [(f"{field.schema}person", "insert_exists", "source")]
