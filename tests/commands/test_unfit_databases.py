"""What the configuration asks for and a database does not have is named before anything is installed or sealed."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from cdc_sync.errors import CdcSyncError
from tests.commands.conftest import SUBJECT, Expected, made, refused, run, untouched
from tests.conftest import Make
from tests.nodes import Side, Tables, install, replicate, write_config

# --- what the file asks of the source


@dataclass(frozen=True)
class Unfit:
    """A source and a configuration that do not fit."""

    id: str
    schema: str
    tables: Tables
    expected: Expected


PLACE = "create table place (id {pk}, name text); "
VISIT = (
    "create table visit (id {pk}, code text not null, place_id integer not null references place, "
    "unique (place_id, code));"
)
PERSON = "create table person (id {pk}, code text not null, boss_id integer references person, unique (boss_id, code));"
GENERATED = (
    "create table subject (id {pk}, code text not null, loud text generated always as (upper(code)) stored unique)"
)

UNFIT = [
    Unfit("no-such-table", SUBJECT, {"subjct": ["code"]}, Expected(("no table 'subjct'",), "'subject'")),
    Unfit("no-tables-at-all", "", {"subject": ["code"]}, Expected(("no table 'subject'",), "no tables")),
    Unfit("no-such-column", SUBJECT, {"subject": ["cod"]}, Expected(("'subject'", "'cod'"), "'code'")),
    Unfit(
        "no-such-column-to-exclude",
        SUBJECT,
        {"subject": {"key": ["code"], "exclude": ["nota"]}},
        Expected(("'subject'", "'nota'"), "'note'"),
    ),
    Unfit("empty-key", SUBJECT, {"subject": []}, Expected(("'subject'", "no key"), "key = [")),
    Unfit(
        "key-column-excluded",
        SUBJECT,
        {"subject": {"key": ["code"], "exclude": ["code"]}},
        Expected(("'subject'", "'code'", "part of its key"), "take it out"),
    ),
    Unfit(
        "primary-key-column-excluded",
        SUBJECT,
        {"subject": {"key": ["code"], "exclude": ["id"]}},
        Expected(("'subject'", "'id'", "primary key"), "exclude"),
    ),
    Unfit("generated-key-column", GENERATED, {"subject": ["loud"]}, Expected(("'subject'", "'loud'", "generated"))),
    Unfit(
        "parent-in-the-key-without-a-key",
        PLACE + VISIT,
        {"visit": ["place_id", "code"]},
        Expected(("'place_id'", "'place'", "not configured"), '"place"'),
    ),
    Unfit(
        "parent-outside-the-key-without-a-key",
        PLACE + VISIT,
        {"visit": ["code"]},
        Expected(("'place_id'", "'place'", "not configured"), "exclude"),
    ),
    Unfit(
        "key-through-itself",
        PERSON,
        {"person": ["boss_id", "code"]},
        Expected(("'person'", "runs through itself"), "key columns"),
    ),
]


@pytest.mark.parametrize("case", UNFIT, ids=lambda case: case.id)
@pytest.mark.parametrize("command", ["install-triggers", "install-triggers --dry-run"])
def test_what_the_source_does_not_have_is_named_and_nothing_is_installed(
    make_side: Make, tmp_path: Path, kind: str, case: Unfit, command: str
) -> None:
    source, target = made(make_side, kind, "source", case.schema), make_side("sqlite", "target")
    path = _written(tmp_path, source, target, case.tables)
    with untouched(tmp_path, source, target):
        refused(run(command, path), case.expected)


def _written(folder: Path, source: Side, target: Side, tables: Tables) -> Path:
    """The file's path, also where loading it fails."""
    with suppress(CdcSyncError):
        write_config(folder, "laptop", source, target, tables)
    return folder / "node-laptop" / "cdc-sync.toml"


def test_a_parent_outside_the_configuration_serves_with_its_own_unique_key(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side, number in ((source, 1), (target, 7)):
        side.script("create table place (id {pk}, name text not null unique); " + VISIT)
        side.run("insert into place (id, name) values (?, 'here')", (number,))
    config = write_config(tmp_path, "laptop", source, target, {"visit": ["place_id", "code"]})
    assert run("install-triggers", config).exit_code == 0
    source.run("insert into visit (code, place_id) values ('v1', 1)")
    replicate(config)
    assert target.rows("select code, place_id from visit") == [("v1", 7)]


def test_the_same_table_under_two_spellings_is_configured_twice(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = made(make_side, kind, "source", SUBJECT), make_side("sqlite", "target")
    other = {"sqlite": "Subject", "postgresql": "public.subject"}[kind]
    path = _written(tmp_path, source, target, {"subject": ["code"], other: ["code"]})
    with untouched(tmp_path, source, target):
        refused(run("install-triggers", path), Expected(("subject", "twice")))


# --- what the target lacks


@dataclass(frozen=True)
class Lacking:
    """A target that cannot take the source's rows. ``only`` names the one kind of database that it concerns."""

    id: str
    schema: str
    expected: Expected
    only: str = ""


LACKING = [
    Lacking("table", "", Expected(("'server'", "no table 'subject'"), "create it")),
    Lacking("key-column", "create table subject (id {pk}, note text)", Expected(("'subject'", "key column 'code'"))),
    Lacking(
        "default",
        "create table subject (id {pk}, code text not null unique, note text, site text not null)",
        Expected(("'server'", "'subject'", "'site'"), "default"),
    ),
    Lacking(
        "unique-key",
        "create table subject (id {pk}, code text not null, note text)",
        Expected(("'subject'", "no unique", '"code"'), "create unique index"),
    ),
    Lacking(
        "whole-unique-key",
        "create table subject (id {pk}, code text not null, note text);"
        "create unique index some_codes on subject (code) where note is not null",
        Expected(("'subject'", "no unique", '"code"'), "create unique index"),
    ),
    Lacking(
        "unique-key-of-columns",
        "create table subject (id {pk}, code text not null, note text); create unique index u on subject (lower(code))",
        Expected(("'subject'", "no unique", '"code"'), "create unique index"),
    ),
    Lacking(
        "not-null-key",
        "create table subject (id {pk}, code text unique, note text)",
        Expected(("'subject'", "'code'", "null"), "not null"),
    ),
    Lacking(
        "numbers-of-its-own",
        "create table subject (id integer primary key, code text not null unique, note text)",
        Expected(("'subject'", "'id'", "numbers"), "generated by default as identity"),
        "postgresql",
    ),
    Lacking(
        "numbers-of-its-own-in-sqlite",
        "create table subject (id int primary key, code text not null unique, note text)",
        Expected(("'subject'", "'id'", "numbers"), "integer primary key"),
        "sqlite",
    ),
]


@pytest.mark.parametrize("case", LACKING, ids=lambda case: case.id)
def test_what_the_target_lacks_is_named_before_anything_is_sealed_or_made(
    make_side: Make, tmp_path: Path, kind: str, case: Lacking
) -> None:
    if case.only not in ("", kind):
        pytest.skip(f"concerns {case.only} only")
    source, target = made(make_side, "sqlite", "source", SUBJECT), made(make_side, kind, "target", case.schema)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source, target):
        refused(run("replicate --once", config), case.expected)
