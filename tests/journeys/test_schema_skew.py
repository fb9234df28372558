"""A server that calls tables and columns otherwise, and lacks columns that the laptop has."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import apply, databases
from cdc_sync.config import Config
from cdc_sync.core.conflicts import Policies
from cdc_sync.databases import Mode
from cdc_sync.errors import SchemaMismatch
from cdc_sync.resync import resync
from cdc_sync.verify import verify
from tests.conftest import PAIRS, Make
from tests.nodes import Setting, Side, Tables, install, letters, replicate, write_config

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
            assert apply.decide(server, letter, field.configs["two"].policies, for_source=True)
        assert field.people()["a"][1] == "two"
        assert field.conflicts() == [(f"{field.schema}person", "insert_exists", "source")]


def test_each_node_has_names_of_its_own(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    """A third laptop calls things as the server does; what it brings revives what another one's letters wait for."""
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    three = make_side(kinds[0], "three")
    three.script(SERVER.replace("{schema}", ""))
    tables: Tables = {
        "person": {"key": ["person_code"], "target": f"{field.schema}person", "conflict": "newest_wins"},
        "visit": {"key": ["person", "nr"], "target": f"{field.schema}visit"},
    }
    if not field.schema:
        tables = {"person": {"key": ["person_code"], "conflict": "newest_wins"}, "visit": ["person", "nr"]}
    field.laptops["three"], field.configs["three"] = three, write_config(tmp_path, "three", three, field.server, tables)
    install(field.configs["three"])
    field.send("one", "insert into subject (id, code, note) values (1, 'a', 'one')")
    field.server.run(f"delete from {field.schema}person")
    assert field.send("one", "insert into subject_visit (subject_id, number) values (1, 1)") == {"deferred": 1}
    field.send(
        "three",
        "insert into person (person_no, person_code, remark) values (8, 'a', 'three')",
        "insert into visit (id, person, nr) values (3, 8, 2)",
    )
    assert field.visits() == {("a", 1, None), ("a", 2, None)}
    field.send("one", "update subject set note = 'again'")
    assert field.people()["a"][1] == "again"
    assert (f"{field.schema}person", "update_origin_differs", "source") in field.conflicts()


def test_a_parent_that_is_only_looked_up_may_be_called_otherwise(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    source.script(
        "create table site (id {pk}, name varchar(20) not null unique);"
        "create table subject (id {pk}, code varchar(20) not null unique, site_id integer references site (id));"
    )
    target.script(
        "create table place (number {pk}, called varchar(20) not null unique);"
        "create table subject (id {pk}, place integer references place (number), code varchar(20) not null unique);"
    )
    site = {"key": ["name"], "reference": True, "target": "place", "columns": {"id": "number", "name": "called"}}
    tables: dict[str, Any] = {"site": site, "subject": {"key": ["code"], "columns": {"site_id": "place"}}}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    target.run("insert into place (number, called) values (70, 'north')")
    source.run("insert into site (id, name) values (1, 'north')")
    source.run("insert into subject (code, site_id) values ('a', 1)")
    replicate(config)
    assert target.rows("select code, place from subject") == [("a", 70)]


NEWER = """
create table site (id {pk}, name varchar(20) not null unique);
create table subject (id {pk}, code varchar(20) not null unique, phone varchar(20), age integer, well boolean,
    photo {bytes}, seen timestamp, share {decimal}, site_id integer references site (id), note text);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    weight integer, unique (subject_id, number));
"""
OLDER = """
create table subject (id {pk}, note text check (note <> 'refused'), code varchar(20) not null unique);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    unique (subject_id, number));
"""
TYPES = {
    "sqlite": {"{bytes}": "blob", "{decimal}": "numeric"},
    "postgresql": {"{bytes}": "bytea", "{decimal}": "numeric(20,10)"},
}
COLUMNS = {
    "phone": "varchar(20)",
    "age": "integer",
    "well": "boolean",
    "photo": "{bytes}",
    "seen": "timestamp",
    "share": "{decimal}",
}


def typed(side: Side, text: str) -> str:
    for hole, name in TYPES[side.kind].items():
        text = text.replace(hole, name)
    return text


class Older:
    """A laptop whose tables have columns that the server's lack, one of them a reference to a table that is lacking."""

    def __init__(self, source: Side, target: Side, folder: Path) -> None:
        self.source, self.target = source, target
        source.script(typed(source, NEWER))
        target.script(typed(target, OLDER))
        site: Mapping[str, Setting] = {"key": ["name"], "reference": True}
        tables: Tables = {"site": site, "subject": ["code"], "visit": ["subject_id", "number"]}
        self.config = write_config(folder, "laptop", source, target, tables)
        install(self.config)

    def send(self, *statements: str) -> dict[str, int]:
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)
        (delivered,) = replicate(self.config)
        return dict(delivered.waiting)

    def subject(self, values: str) -> str:
        photo = "x'00ff'" if self.source.kind == "sqlite" else r"'\x00ff'"
        return (
            "insert into subject (id, code, note, phone, age, well, photo, seen, share, site_id) "
            f"values ({values}, '0049', 42, true, {photo}, '2026-01-31 10:00:00.5', 0.25, 1)"
        )

    def add_columns(self) -> None:
        for name, declared in COLUMNS.items():
            self.target.run(f"alter table subject add column {name} {typed(self.target, declared)}")
        self.target.script("create table site (id {pk}, name varchar(20) not null unique);")
        self.target.run("insert into site (id, name) values (77, 'north')")
        self.target.run("alter table subject add column site_id integer references site (id)")

    def resync(self, *tables: str) -> None:
        with databases.connect(self.config.node.database, self.config.folder) as database:
            resync(database, self.config, tables)
        replicate(self.config)

    def full(self) -> dict[str, tuple[Any, ...]]:
        rows = self.target.rows(
            "select code, note, phone, age, well, photo, cast(seen as varchar(21)), share, site_id from subject"
        )
        return {row[0]: tuple(row[1:]) for row in rows}


SITE = "insert into site (id, name) values (1, 'north')"
FULL = ("0049", 42, True, b"\x00\xff", "2026-01-31 10:00:00.5", 0.25, 77)
EMPTY = (None,) * len(FULL)


@pytest.fixture
def older(pair: tuple[Side, Side], tmp_path: Path) -> Older:
    return Older(*pair, tmp_path)


def test_columns_that_only_the_source_has_are_left_out_and_filled_once_they_are_there(older: Older) -> None:
    assert (
        older.send(SITE, older.subject("1, 'a', 'x'"), older.subject("2, 'b', 'y'"), older.subject("3, 'c', 'z'")) == {}
    )
    assert older.send("insert into visit (subject_id, number, weight) values (1, 1, 70), (2, 1, 80)") == {}
    assert older.send("update subject set code = 'a2', age = 43 where id = 1", "delete from subject where id = 3") == {}
    assert set(older.target.rows("select code, note from subject")) == {("a2", "x"), ("b", "y")}
    assert older.target.rows("select count(*) from visit") == [(2,)]
    older.add_columns()
    assert older.send("update subject set note = 'later', age = 42 where id = 1") == {}
    assert older.full() == {"a2": ("later", *FULL), "b": ("y", *EMPTY)}
    older.resync("subject")
    assert older.full() == {"a2": ("later", *FULL), "b": ("y", *FULL)}


def test_a_row_that_waited_while_a_column_was_lacking_brings_its_value(older: Older) -> None:
    assert older.send(SITE, older.subject("1, 'a', 'refused'"), older.subject("2, 'b', 'y'")) == {"dead": 1}
    older.add_columns()
    older.target.run("delete from subject")
    rename = "alter table subject rename column note to told"
    older.target.run(rename)
    older.target.run("alter table subject add column note text")
    with databases.connect(older.target.url) as server:
        assert apply.retry(server, letters(older.target), Policies()) == 1
    assert older.full() == {"a": ("refused", *FULL)}


ODD = {
    "sqlite": "('a', cast(x'ff' as text), x'00', 'no number', 'a' || char(0), 9e999, -9223372036854775808)",
    "postgresql": r"('a', E'\t\\N\n', 7, true, '\\x00', 'infinity', 'NaN')",
}


def test_no_value_is_refused_for_a_column_that_is_not_there(older: Older) -> None:
    columns = "code, phone, age, well, photo, seen, share"
    assert older.send(f"insert into subject ({columns}) values {ODD[older.source.kind]}") == {}
    assert older.target.rows("select code from subject") == [("a",)]
    assert older.send(f"update subject set note = 'refused', share = {_digits(older.source)}") == {"dead": 1}
    assert older.send("update subject set note = 'mended'") == {}
    assert older.target.rows("select code, note from subject") == [("a", "mended")]


def _digits(side: Side) -> str:
    """A number that the other side's numbers do not hold."""
    return "0.1234567891" if side.kind == "postgresql" else "x'31'"


def test_a_column_that_goes_while_a_row_waits_keeps_nothing_from_arriving(older: Older) -> None:
    older.add_columns()
    assert older.send(SITE, older.subject("1, 'a', 'refused'"), older.subject("2, 'b', 'y'")) == {"dead": 1}
    for column in ("site_id", *COLUMNS):
        older.target.run(f"alter table subject drop column {column}")
    older.target.run("drop table site")
    assert older.send("update subject set note = 'mended' where id = 1") == {}
    assert set(older.target.rows("select code, note from subject")) == {("a", "mended"), ("b", "y")}
    assert letters(older.target) == []


def test_what_is_left_out_is_told_once_while_the_schema_stays(older: Older, caplog: pytest.LogCaptureFixture) -> None:
    def told() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        return [message for message in found if "is not at destination" in message]

    older.send(SITE, older.subject("1, 'a', 'x'"))
    first = told()
    assert len(first) == len(COLUMNS) + 2
    assert (
        "table subject: column 'phone' is not at destination server; its values stay here. "
        "Add the column there, then run cdc-sync resync subject" in first
    )
    older.send("update subject set note = 'y'")
    assert told() == []
    older.source.run("alter table visit add column height integer")
    install(older.config)
    older.send("update subject set note = 'z'")
    assert len(told()) == len(first) + 1
    older.add_columns()
    older.send("update subject set note = 'w'")
    assert [message.partition(" is not")[0] for message in told()] == [
        "table visit: column 'weight'",
        "table visit: column 'height'",
    ]


@pytest.mark.parametrize("column", ["code", "id"])
def test_a_key_that_the_target_lacks_stops_everything(pair: tuple[Side, Side], tmp_path: Path, column: str) -> None:
    source, target = pair
    source.script(typed(source, NEWER))
    other = OLDER.replace("(id {pk}, note", "(other {pk}, note").replace("(id)", "(other)")
    target.script(OLDER.replace(" code ", " other ") if column == "code" else other)
    tables = {"subject": ["code"], "visit": ["subject_id", "number"]}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    with pytest.raises(SchemaMismatch, match=f"table 'subject' has no.* column '{column}'"):
        replicate(config)


def test_a_primary_key_that_nothing_refers_to_may_be_called_otherwise(
    pair: tuple[Side, Side], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = pair
    source.script("create table subject (id {pk}, code varchar(20) not null unique, note text)")
    target.script("create table subject (number {pk}, note text, code varchar(20) not null unique)")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (id, code, note) values (5, 'a', 'x'), (6, 'b', 'y')")
    replicate(config)
    source.run("update subject set code = 'c', id = 7 where id = 5")
    source.run("delete from subject where id = 6")
    replicate(config)
    assert target.rows("select code, note from subject") == [("c", "x")]
    assert "is not at destination" not in caplog.text


def verified(config: Config, *, repair: bool = False) -> dict[str, tuple[int, int, int, int]]:
    """By table: rows, and how many of them are missing, different, or only at the server."""
    with databases.connect(config.node.database, config.folder) as database:
        reports = verify(database, config, repair=repair)
    return {r.table: (r.rows, r.missing, r.different, r.extra) for r in reports}


def test_verify_compares_and_repairs_under_the_names_of_the_server(field: Field) -> None:
    field.send(
        "one",
        "insert into subject (id, code, dob, note) values (1, 'a', '1990-01-31', 'x'), (2, 'b', null, null)",
        "insert into subject (id, code, note) values (3, 'c', 'z')",
        "update subject set mate = 2 where id = 1",
        "insert into subject_visit (id, subject_id, number, seen) values (1, 1, 1, 'yes'), (2, 2, 1, 'no')",
        "insert into sample (visit_id, tube) values (1, 't1'), (2, 't2')",
    )
    config = field.configs["one"]
    equal = {"subject": (3, 0, 0, 0), "subject_visit": (2, 0, 0, 0), "sample": (2, 0, 0, 0)}
    assert verified(config) == equal
    person, visit = f"{field.schema}person", f"{field.schema}visit"
    field.server.run(f"update {person} set remark = 'other', spouse = null where person_code = 'a'")
    field.server.run(f"delete from {person} where person_code = 'c'")
    field.server.run(f"update {visit} set seen = 'maybe' where seen = 'no'")
    field.server.run(f"insert into {person} (person_code) values ('own')")
    assert verified(config, repair=True) == {
        "subject": (3, 1, 1, 1), "subject_visit": (2, 0, 1, 0), "sample": (2, 0, 0, 0)
    }  # fmt: skip
    replicate(config)
    assert verified(config) == {**equal, "subject": (3, 0, 0, 1)}


def test_verify_compares_what_the_server_has(older: Older) -> None:
    older.send(SITE, older.subject("1, 'a', 'x'"), "insert into visit (subject_id, number, weight) values (1, 1, 70)")
    assert verified(older.config) == {"subject": (1, 0, 0, 0), "visit": (1, 0, 0, 0)}
    older.target.run("update subject set note = 'other'")
    assert verified(older.config)["subject"] == (1, 0, 1, 0)
    older.target.run("update subject set note = 'x'")
    older.add_columns()
    assert verified(older.config, repair=True)["subject"] == (1, 0, 1, 0)
    replicate(older.config)
    assert older.full() == {"a": ("x", *FULL)}
    assert verified(older.config)["subject"] == (1, 0, 0, 0)


def test_verify_takes_no_column_of_the_server_for_another_one(pair: tuple[Side, Side], tmp_path: Path) -> None:
    """The server's own id and note are not the laptop's, which it calls number and told."""
    source, target = pair
    source.script("create table subject (id {pk}, code varchar(20) not null unique, note text)")
    target.script(
        "create table person (id {pk}, number integer, code varchar(20) not null unique, told text, note varchar(9))"
    )
    columns = {"id": "number", "note": "told"}
    config = write_config(
        tmp_path, "laptop", *pair, {"subject": {"key": ["code"], "target": "person", "columns": columns}}
    )
    install(config)
    target.run("insert into person (code, note) values ('own', 'mine')")
    source.run("insert into subject (id, code, note) values (7, 'a', 'x')")
    replicate(config)
    assert verified(config) == {"subject": (1, 0, 0, 1)}
    target.run("update person set note = 'more'")
    assert verified(config) == {"subject": (1, 0, 0, 1)}
    target.run("update person set told = 'more' where code = 'a'")
    assert verified(config) == {"subject": (1, 0, 1, 1)}
    assert target.rows("select number from person where code = 'a'") == [(7,)]
