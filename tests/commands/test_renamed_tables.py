"""Names that destinations have for tables and columns: mistakes are named, and doctor looks under them."""

from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import SUBJECT, TABLE, Expected, Walk, made, refused, run, untouched
from tests.conftest import Make
from tests.nodes import Side, install, replicate, write_config

VISIT = '[[tables]]\nname = "visit"\nkey = ["code"]\n'
SCHEMA = SUBJECT + "create table visit (id {pk}, code text not null unique);"
MISTAKES = {
    "unknown column": (
        TABLE + 'columns = { nota = "remark" }\n',
        Expected(("'subject'", "'nota'", "does not travel"), "'note'"),
    ),
    "excluded column": (
        TABLE + 'exclude = ["note"]\ncolumns = { note = "remark" }\n',
        Expected(("'note'", "does not travel"), "code"),
    ),
    "two columns of one new name": (
        TABLE + 'columns = { note = "text", code = "text" }\n',
        Expected(("'subject'", "two columns 'text'"), "another name"),
    ),
    "a column of another one's name": (
        TABLE + 'columns = { note = "code" }\n',
        Expected(("'code'", "'note'", "would both be 'code'"), "exclude"),
    ),
    "columns that are a list": (TABLE + 'columns = ["note"]\n', Expected(("'subject'", "columns"), "{ here =")),
    "a column that is a number": (TABLE + "columns = { note = 1 }\n", Expected(("'subject'", "columns"), "{ here =")),
    "an empty target": (TABLE + 'target = ""\n', Expected(("'subject'", "target"), "target =")),
    "two tables of one new name": (
        TABLE + 'target = "all"\n' + VISIT + 'target = "all"\n',
        Expected(("'subject'", "'visit'", "'all'"), "another target"),
    ),
    "a table of another one's name": (
        TABLE + 'target = "visit"\n' + VISIT,
        Expected(("'subject'", "'visit'"), "another target"),
    ),
    "a target for many tables": (
        '[[tables]]\nname = "*"\nkey = ["code"]\ntarget = "all"\n',
        Expected(("'*'", "many tables", "target"), "its own entry"),
    ),
    "columns of many tables": (
        '[[tables]]\nname = "*"\nkey = ["code"]\ncolumns = { note = "remark" }\n',
        Expected(("'*'", "many tables", "columns"), "its own entry"),
    ),
    "a near miss": (TABLE + 'colums = { note = "remark" }\n', Expected(("'colums'",), "'columns'")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["install-triggers", "install-triggers --dry-run"])
def test_a_mistake_in_the_names_is_named_with_what_to_type(
    make_side: Make, tmp_path: Path, mistake: str, command: str
) -> None:
    source = made(make_side, "sqlite", "field", SCHEMA)
    text, expected = MISTAKES[mistake]
    path = tmp_path / "cdc-sync.toml"
    path.write_text('[node]\nname = "laptop"\ndatabase = "sqlite:///field.db"\n' + text)
    with untouched(tmp_path, source):
        refused(run(command, path), expected)


RENAMED: dict[str, Any] = {"key": ["code"], "target": "clinic.person", "columns": {"code": "person", "note": "remark"}}


@pytest.fixture
def clinic(make_side: Make, tmp_path: Path) -> Walk:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    source.script(SUBJECT)
    target.script("create schema clinic")
    config = write_config(tmp_path, "laptop", source, target, {"subject": RENAMED})
    install(config)
    return Walk(config, source, target)


def person(target: Side, columns: str) -> None:
    target.script(f"drop table if exists clinic.person; create table clinic.person (id {{pk}}, {columns})")


def test_a_target_is_looked_at_under_its_own_names(clinic: Walk) -> None:
    said = run("replicate --once", clinic.config)
    assert said.exit_code == 2
    assert "has no table 'clinic.person'" in said.stderr
    person(clinic.target, "person text, remark text")
    said = run("replicate --once", clinic.config)
    assert said.exit_code == 2
    assert "table 'clinic.person' has no unique constraint on its key (\"person\")" in said.stderr
    assert 'create unique index on "clinic"."person" ("person")' in said.stderr
    clinic.target.run('create unique index on "clinic"."person" ("person")')
    said = run("replicate --once", clinic.config)
    assert 'alter table "clinic"."person" alter column "person" set not null' in said.stderr


def test_doctor_looks_at_a_target_under_its_own_names(clinic: Walk) -> None:
    person(clinic.target, "code text not null unique")
    said = run("doctor", clinic.config)
    assert said.exit_code == 3
    assert "table 'clinic.person' has no key column 'person'" in said.stdout
    person(clinic.target, "person text not null unique, remark text")
    said = run("doctor", clinic.config)
    assert said.exit_code == 0, said.output
    assert "Nothing needs a hand." in said.stdout


def test_doctor_tells_of_columns_that_a_target_lacks_and_needs_no_hand(clinic: Walk) -> None:
    person(clinic.target, "person text not null unique")
    clinic.source.run("insert into subject (code, note) values ('a', 'x')")
    said = run("replicate --once", clinic.config)
    assert said.exit_code == 0, said.output
    assert clinic.target.rows("select person from clinic.person") == [("a",)]
    said = run("doctor", clinic.config)
    assert said.exit_code == 0, said.output
    assert "table 'clinic.person' has no column 'remark': its values stay here" in said.stdout
    assert "cdc-sync resync subject" in said.stdout


def test_other_names_hold_for_what_waits_already(clinic: Walk) -> None:
    """The file may be corrected while rows wait under the names that it had."""
    person(clinic.target, "person text not null unique, remark text check (remark <> 'x')")
    clinic.source.run("insert into subject (code, note) values ('a', 'x')")
    assert run("replicate --once", clinic.config).exit_code == 3
    path = clinic.config.path
    path.write_text(path.read_text().replace("clinic.person", "clinic.patient"))
    clinic.target.run("create table clinic.patient (like clinic.person including identity including indexes)")
    assert run("replicate --once", path).exit_code == 3
    assert "clinic.patient" in run("dead-letters list --at server --json", path).stdout
    assert run("dead-letters retry --at server", path).exit_code == 0
    assert clinic.target.rows("select person, remark from clinic.patient") == [("a", "x")]


def test_two_schemas_may_hold_tables_of_one_name(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    source.script(SCHEMA)
    one = "create schema {0}; create table {0}.item (id {{pk}}, code text not null unique, note text);"
    target.script(one.format("a") + one.format("b"))
    tables: dict[str, Any] = {
        name: {"key": ["code"], "target": f"{s}.item"} for name, s in (("subject", "a"), ("visit", "b"))
    }
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    source.run("insert into subject (code, note) values ('s', 'x')")
    source.run("insert into visit (code) values ('v')")
    replicate(config)
    assert target.rows("select code from a.item union all select code from b.item") == [("s",), ("v",)]
    names = target.rows("select table_name from cdc_sync.versioned order by 1")
    assert names == [("a.item",), ("b.item",)]
