"""Every kind of bad input: an error that names what is wrong, a hint, exit code 2, and nothing changed anywhere."""

import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cdc_sync import cli, databases, identity
from cdc_sync.config import Config
from cdc_sync.errors import CdcSyncError
from tests.conftest import Make
from tests.nodes import Side, Tables, install, received, replicate, write_config

KINDS = ("sqlite", "postgresql")
PASSWORD = "Xylophone7"
SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"

_STATE = {
    "sqlite": "select type, name, tbl_name, sql from sqlite_master order by 1, 2",
    "postgresql": """
        select 'relation', oid::regclass::text, relkind::text, coalesce(pg_get_viewdef(oid), '')
        from pg_class where relkind in ('r', 'v', 'S', 'i') and relnamespace::regnamespace::text !~ '^(pg_|information)'
        union all select 'schema', nspname, '', '' from pg_namespace where nspname !~ '^pg_(temp|toast_temp)'
        union all select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger
        union all select 'function', oid::regprocedure::text, '', prosrc from pg_proc
        where pronamespace::regnamespace::text !~ '^(pg_|information)'
        order by 1, 2, 3""",
}
_TABLES = {
    "sqlite": "select '\"' || name || '\"' from sqlite_master where type = 'table'",
    "postgresql": "select oid::regclass::text from pg_class where relkind = 'r' "
    "and relnamespace::regnamespace::text !~ '^(pg_|information)'",
}


def state(side: Side) -> list[object]:
    """Everything in a database: its catalog and all its rows."""
    tables = sorted(name for (name,) in side.rows(_TABLES[side.kind]))
    return [
        side.rows(_STATE[side.kind]),
        *((name, sorted(side.rows(f"select * from {name}"), key=repr)) for name in tables),
    ]


def run(command: str, config: Config | Path, *options: str) -> Result:
    """The command as the shell would run it, in this process."""
    path = config.path if isinstance(config, Config) else config
    return CliRunner().invoke(cli.main, [*command.split(), "--config", str(path), *options])


def files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.name != "__pycache__"}


def everything(result: Result) -> str:
    """All that could reach a screen or a log: output, and the exception with every exception behind it."""
    raised = "".join(traceback.format_exception(*result.exc_info)) if result.exc_info else ""
    return result.output + result.stderr + raised


def complaint(result: Result) -> tuple[str, str]:
    """The error and the hint; asserts that nothing else was said, and that no password was."""
    assert result.exit_code == 2, everything(result)
    assert result.stdout == ""
    assert PASSWORD not in everything(result)
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: "), lines
    assert len(lines) == 2, f"one error line and one hint line, not {lines}"
    assert lines[1].startswith("hint: "), lines
    return lines[0], lines[1]


@dataclass(frozen=True)
class Expected:
    """What the error must name, and what the hint must."""

    error: tuple[str, ...]
    hint: str = ""


def refused(result: Result, expected: Expected) -> None:
    error, hint = complaint(result)
    for word in expected.error:
        assert word in error, error
    assert expected.hint in hint, hint


@contextmanager
def untouched(folder: Path, *sides: Side) -> Iterator[None]:
    """Asserts that the block changes no database and makes no file (no key either)."""
    before = files(folder), [state(side) for side in sides]
    yield
    assert files(folder) == before[0]
    assert [state(side) for side in sides] == before[1]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def with_password(url: str) -> str:
    """A PostgreSQL URL with a password in it (our server trusts everybody)."""
    return sa.make_url(url).set(password=PASSWORD).render_as_string(hide_password=False)


def made(make_side: Make, kind: str, name: str, schema: str) -> Side:
    """A database with a schema in it, and a password in its URL where it can have one."""
    side = make_side(kind, name)
    if schema:
        side.script(schema)
    if kind == "postgresql":
        side.url = with_password(side.url)
    return side


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
    Lacking(
        "column",
        "create table subject (id {pk}, code text not null unique)",
        Expected(("'server'", "'subject'", "'note'"), "exclude"),
    ),
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


# --- databases that cannot be reached or written


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _elsewhere(kind: str, case: str, folder: Path, url: str) -> tuple[str, Expected]:
    """A URL behind which there is nothing to use, and what must be said."""
    if case == "closed-port":
        port = closed_port()
        return f"postgresql://dba:{PASSWORD}@127.0.0.1:{port}/clinic", Expected(("cannot connect", str(port)), "URL")
    if case == "no-such-database":
        nowhere = sa.make_url(with_password(url)).set(database="nowhere")
        return nowhere.render_as_string(hide_password=False), Expected(("cannot connect", "nowhere"), "URL")
    if case == "missing-file":
        return f"sqlite:///{folder}/gone.db", Expected(("no database file", "gone.db"), "URL")
    if case == "folder":
        return f"sqlite:///{folder}", Expected((str(folder),), "URL")
    assert kind == "sqlite"
    (folder / "notes.txt").write_text("These are notes, not a database.\n" * 50)
    return f"sqlite:///{folder}/notes.txt", Expected(("notes.txt", "not a database"), "URL")


UNREACHABLE = [
    ("postgresql", "closed-port"),
    ("postgresql", "no-such-database"),
    ("sqlite", "missing-file"),
    ("sqlite", "folder"),
    ("sqlite", "no-database"),
]


@pytest.mark.parametrize(("kind", "case"), UNREACHABLE, ids=lambda value: value)
@pytest.mark.parametrize(
    "command",
    ["install-triggers", "install-triggers --dry-run", "uninstall-triggers", "replicate --once", "replicate", "status"],
)
def test_a_source_that_cannot_be_reached_is_named(
    make_side: Make, tmp_path: Path, kind: str, case: str, command: str
) -> None:
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    source.url, expected = _elsewhere(kind, case, tmp_path, source.url)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with untouched(tmp_path, target):
        refused(run(command, config), expected)


@pytest.mark.parametrize(("kind", "case"), UNREACHABLE, ids=lambda value: value)
def test_a_destination_that_cannot_be_reached_is_named_and_nothing_is_sealed(
    make_side: Make, tmp_path: Path, kind: str, case: str
) -> None:
    source, target = made(make_side, "sqlite", "source", SUBJECT), make_side(kind, "target")
    target.url, expected = _elsewhere(kind, case, tmp_path, target.url)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source):
        refused(run("replicate --once", config), expected)


@contextmanager
def read_only(side: Side) -> Iterator[None]:
    """Nobody who connects from now on may write."""
    if side.kind == "postgresql":
        name = side.rows("select current_database()")[0][0]
        side.run(f"alter database {name} set default_transaction_read_only = on")
        yield
        side.run(f"alter database {name} reset default_transaction_read_only")
        return
    if os.geteuid() == 0:
        pytest.skip("root may write to files of mode 0444")
    path = Path(sa.make_url(side.url).database or "")
    path.chmod(0o444)
    yield
    path.chmod(0o644)


def test_a_read_only_source_is_named(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = made(make_side, kind, "source", SUBJECT), make_side("sqlite", "target")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with untouched(tmp_path, source, target), read_only(source):
        refused(run("install-triggers", config), Expected(("read",), "writable"))


def test_a_read_only_destination_is_named_and_nothing_is_sealed(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = made(make_side, "sqlite", "source", SUBJECT), made(make_side, kind, "target", SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source, target), read_only(target):
        refused(run("replicate --once", config), Expected(("read",), "writable"))


def test_a_role_that_may_not_make_triggers_is_told_so(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    source.script(SUBJECT)
    name = source.rows("select current_database()")[0][0]
    source.script(
        f"create role {name}_guest login; grant all on database {name} to {name}_guest; "
        f"grant usage on schema public to {name}_guest; grant select on subject to {name}_guest"
    )
    source.url = sa.make_url(source.url).set(username=f"{name}_guest", password=PASSWORD).render_as_string(False)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    try:
        with untouched(tmp_path, source, target):
            refused(run("install-triggers", config), Expected(("subject",), "right"))
    finally:
        source.script(f"drop owned by {name}_guest; drop role {name}_guest")


# --- the node's own database as its destination


def _other_spelling(source: Side, folder: Path, how: str) -> str:
    if source.kind == "postgresql":
        return sa.make_url(source.url).update_query_dict({"application_name": "other"}).render_as_string(False)
    path = Path(sa.make_url(source.url).database or "")
    if how == "symlink":
        (folder / "link.db").symlink_to(path)
        return f"sqlite:///{folder}/link.db"
    return f"sqlite:///../../{folder.name}/{path.name}"


@pytest.mark.parametrize(("kind", "how"), [("sqlite", "symlink"), ("sqlite", "relative"), ("postgresql", "spelling")])
def test_the_nodes_own_database_is_no_destination(make_side: Make, tmp_path: Path, kind: str, how: str) -> None:
    source, target = made(make_side, kind, "source", SUBJECT), make_side(kind, "target")
    target.url = _other_spelling(source, tmp_path, how)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source):
        refused(run("replicate --once", config), Expected(("'server'", "own database"), "another"))


# --- the file itself


@dataclass(frozen=True)
class Mistake:
    """A file's text, what must be said of it, and a command that finds it out."""

    id: str
    text: str
    expected: Expected
    command: str = "install-triggers"


NODE = '[node]\nname = "laptop"\ndatabase = "sqlite:///field.db"\n'
TABLE = '[[tables]]\nname = "subject"\nkey = ["code"]\n'
SERVER = '[[destinations]]\nname = "server"\nurl = "sqlite:///server.db"\n'

MISTAKES = [
    Mistake("unknown-section", NODE + TABLE + "[destination]\n", Expected(("'destination'",), "'destinations'")),
    Mistake("unknown-key-in-node", NODE + 'databse = "x"\n', Expected(("[node]", "'databse'"), "'database'")),
    Mistake("unknown-key-in-table", NODE + TABLE + "exclud = []\n", Expected(("[[tables]]", "'exclud'"), "'exclude'")),
    Mistake(
        "unknown-key-in-destination", NODE + SERVER + "nane = 1\n", Expected(("[[destinations]]", "'nane'"), "'name'")
    ),
    Mistake("unknown-key-like-nothing", NODE + TABLE + "zzz = 1\n", Expected(("'zzz'",), "exclude")),
    Mistake(
        "missing-variable",
        NODE.replace("field.db", "${CDC_SYNC_NOT_SET}.db") + TABLE,
        Expected(("[node] database", "CDC_SYNC_NOT_SET"), "export CDC_SYNC_NOT_SET"),
    ),
    Mistake(
        "missing-variable-of-a-destination",
        NODE + TABLE + SERVER.replace("server.db", "${CDC_SYNC_NOT_SET}"),
        Expected(("'server'", "CDC_SYNC_NOT_SET"), "export CDC_SYNC_NOT_SET"),
    ),
    Mistake("invalid-toml", NODE + "[[tables]\n", Expected(("cdc-sync.toml", "TOML", "line 4"))),
    Mistake("no-node", TABLE, Expected(("[node]",), "[node]")),
    Mistake("no-node-name", '[node]\ndatabase = "sqlite:///field.db"\n', Expected(("[node]", "name"), "name =")),
    Mistake("node-name-of-a-path", NODE.replace("laptop", "../laptop"), Expected(("'../laptop'",), "letters")),
    Mistake("no-database", '[node]\nname = "laptop"\n', Expected(("[node]", "database"), "database =")),
    Mistake("tables-no-list", NODE + '[tables]\nname = "x"\n', Expected(("'tables'",), "[[tables]]")),
    Mistake("key-no-list", NODE + TABLE.replace('["code"]', '"code"'), Expected(("'subject'", "key"), 'key = ["')),
    Mistake("key-of-numbers", NODE + TABLE.replace('["code"]', "[1]"), Expected(("'subject'", "key"), 'key = ["')),
    Mistake(
        "key-names-a-column-twice",
        NODE + TABLE.replace('"code"', '"code", "code"'),
        Expected(("'subject'", "key", "twice")),
    ),
    Mistake(
        "table-without-name", NODE + '[[tables]]\nkey = ["code"]\n', Expected(("[[tables]]", "1", "name"), "name =")
    ),
    Mistake("destination-without-url", NODE + '[[destinations]]\nname = "x"\n', Expected(("number 1", "url"), "url =")),
    Mistake("table-configured-twice", NODE + TABLE + TABLE, Expected(("'subject'", "twice"), "one of them")),
    Mistake(
        "destination-configured-twice", NODE + TABLE + SERVER + SERVER, Expected(("'server'", "twice"), "one of them")
    ),
    Mistake("unknown-scheme", NODE.replace("sqlite", "sqlit") + TABLE, Expected(("'sqlit'",), "sqlite")),
    Mistake(
        "unreadable-url",
        NODE.replace("sqlite:///field.db", "field.db") + TABLE,
        Expected(("[node]", "URL"), "sqlite:///"),
    ),
    Mistake("no-tables", NODE + SERVER, Expected(("no tables",), "[[tables]]")),
]


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.id)
def test_a_mistake_in_the_file_is_named_with_what_to_type(make_side: Make, tmp_path: Path, case: Mistake) -> None:
    source = made(make_side, "sqlite", "field", SUBJECT)
    path = tmp_path / "cdc-sync.toml"
    path.write_text(case.text)
    with untouched(tmp_path, source):
        refused(run(case.command, path), case.expected)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(run("status", tmp_path / "none.toml"), Expected(("none.toml",), "--config"))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["folder", "not-text"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "cdc-sync.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    refused(run("status", path), Expected(("cdc-sync.toml", "cannot be read")))


def test_without_destinations_nothing_is_sealed(make_side: Make, tmp_path: Path, kind: str) -> None:
    source = made(make_side, kind, "source", SUBJECT)
    config = write_config(tmp_path, "laptop", source, {}, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source):
        refused(run("replicate --once", config), Expected(("no destinations",), "[[destinations]]"))


# --- what was installed, and what stands there now


def installed(make_side: Make, folder: Path, kind: str) -> tuple[Config, Side, Side]:
    """A node with triggers and one change that waits, and its target."""
    source, target = made(make_side, kind, "source", SUBJECT), made(make_side, "sqlite", "target", SUBJECT)
    config = write_config(folder, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    return config, source, target


def _rename_node(config: Config, source: Side) -> None:  # noqa: ARG001
    text = config.path.read_text().replace('"laptop"', '"tablet"')
    config.path.write_text(text)


def _lose_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.unlink()


def _swap_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.unlink()
    identity.create(config.key_path)


def _spoil_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.write_text("no key")


def _change_configuration(config: Config, source: Side) -> None:  # noqa: ARG001
    config.path.write_text(config.path.read_text().replace('key = ["code"]', 'key = ["code"]\nexclude = ["note"]'))


def _change_table(config: Config, source: Side) -> None:  # noqa: ARG001
    source.run("alter table subject add column extra text")


def _drop_trigger(config: Config, source: Side) -> None:  # noqa: ARG001
    if source.kind == "postgresql":
        source.run("drop trigger cdc_sync_delete on subject")
        return
    query = "select name from sqlite_master where type = 'trigger' and name like 'cdc_sync_delete%'"
    source.run(f"drop trigger {source.rows(query)[0][0]}")


def _drop_table(config: Config, source: Side) -> None:  # noqa: ARG001
    source.run("drop table subject")


def _disable_trigger(config: Config, source: Side) -> None:  # noqa: ARG001
    source.run("alter table subject disable trigger cdc_sync_update")


def _uninstall(config: Config, source: Side) -> None:  # noqa: ARG001
    assert run("uninstall-triggers", config, "--discard").exit_code == 0


Meddle = Callable[[Config, Side], None]
MEDDLED: Mapping[str, tuple[Meddle, Expected, Sequence[str]]] = {
    "wrong-node-name": (
        _rename_node,
        Expected(("'laptop'", "'tablet'"), '"laptop"'),
        ("install-triggers", "replicate --once", "uninstall-triggers --discard"),
    ),
    "missing-key": (
        _lose_key,
        Expected(("laptop.key", "missing"), "put it back"),
        ("install-triggers", "replicate --once"),
    ),
    "foreign-key": (
        _swap_key,
        Expected(("laptop.key", "not the key"), "put the right file back"),
        ("install-triggers", "replicate --once"),
    ),
    "spoilt-key": (
        _spoil_key,
        Expected(("laptop.key", "not a readable"), "put the right file back"),
        ("install-triggers", "replicate --once"),
    ),
    "changed-configuration": (
        _change_configuration,
        Expected(("'subject'", "changed"), "install-triggers"),
        ("replicate --once", "replicate"),
    ),
    "changed-table": (
        _change_table,
        Expected(("'subject'", "changed"), "install-triggers"),
        ("replicate --once", "replicate"),
    ),
    "dropped-trigger": (
        _drop_trigger,
        Expected(("'subject'", "missing"), "install-triggers"),
        ("replicate --once", "replicate"),
    ),
    "dropped-table": (_drop_table, Expected(("'subject'",)), ("install-triggers", "replicate --once")),
    "disabled-trigger": (
        _disable_trigger,
        Expected(("'subject'", "disabled"), "install-triggers"),
        ("replicate --once",),
    ),
    "not-installed": (
        _uninstall,
        Expected(("no triggers are installed",), "install-triggers"),
        ("replicate --once", "replicate", "status"),
    ),
}


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, (_, _, commands) in MEDDLED.items() for command in commands]
)
def test_what_changed_since_the_installation_is_named_and_nothing_moves(
    make_side: Make, tmp_path: Path, kind: str, name: str, command: str
) -> None:
    if name == "disabled-trigger" and kind == "sqlite":
        pytest.skip("SQLite cannot disable a trigger")
    meddle, expected, _ = MEDDLED[name]
    config, source, target = installed(make_side, tmp_path, kind)
    meddle(config, source)
    with untouched(tmp_path, source, target):
        refused(run(command, config), expected)


@pytest.mark.parametrize("meddle", [_drop_trigger, _change_table])
def test_what_changed_can_be_installed_again_without_losing_the_change_that_waits(
    make_side: Make, tmp_path: Path, kind: str, meddle: Meddle
) -> None:
    """``replicate`` says to install again: doing so must not lead into a circle."""
    config, source, target = installed(make_side, tmp_path, kind)
    target.run("alter table subject add column extra text")
    meddle(config, source)
    result = run("install-triggers", config)
    assert result.exit_code == 0, result.stderr
    assert run("replicate --once", config).exit_code == 0
    assert target.rows("select code from subject") == [("s1",)]


def test_a_changed_configuration_is_installed_after_sealing_what_waits_under_the_former_one(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    config, source, target = installed(make_side, tmp_path, kind)
    _change_configuration(config, source)
    assert "renewed" in run("install-triggers", config).stdout
    source.run("insert into subject (code, note) values ('s2', 'stays here')")
    assert run("replicate --once", config).exit_code == 0
    assert target.rows("select code, note from subject order by code") == [("s1", None), ("s2", None)]


# --- passwords


SHAPES_OF_SECRETS = {
    "in-the-url": "postgresql://dba:{password}@127.0.0.1:{port}/clinic",
    "in-the-query": "postgresql://127.0.0.1:{port}/clinic?user=dba&password={password}",
    "by-variable": "postgresql://dba:${{CDC_SYNC_SECRET}}@127.0.0.1:{port}/clinic",
    "url-by-variable": "${{CDC_SYNC_SECRET_URL}}",
    "bad-port": "postgresql://dba:{password}@127.0.0.1:port/clinic",
    "unknown-scheme": "oracle://dba:{password}@127.0.0.1/clinic",
    "no-scheme": "dba:{password}@127.0.0.1/clinic",
    "sqlite-with-a-password": "sqlite://dba:{password}@/gone.db",
    "unknown-option": "postgresql://dba:{password}@127.0.0.1:{port}/clinic?no_such_option=1",
}
SECRET_COMMANDS = (
    "install-triggers",
    "install-triggers --dry-run",
    "uninstall-triggers",
    "replicate --once",
    "replicate",
    "status",
)


@pytest.mark.parametrize("shape", SHAPES_OF_SECRETS)
@pytest.mark.parametrize("command", SECRET_COMMANDS)
def test_a_password_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shape: str, command: str
) -> None:
    url = SHAPES_OF_SECRETS[shape].format(password=PASSWORD, port=closed_port())
    monkeypatch.setenv("CDC_SYNC_SECRET", PASSWORD)
    monkeypatch.setenv("CDC_SYNC_SECRET_URL", f"postgresql://dba:{PASSWORD}@127.0.0.1:{closed_port()}/clinic")
    result = run(command, _file(tmp_path, url))
    assert PASSWORD not in everything(result) + caplog.text
    complaint(result)


@pytest.mark.parametrize("secret", ["slash/{}", "at@{}", "colon:{}", "hash#{}", "percent%41{}", "question?{}", "[{}]"])
def test_a_password_with_special_characters_given_by_variable_is_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("CDC_SYNC_SECRET", secret.format(PASSWORD))
    result = run("status", _file(tmp_path, f"postgresql://dba:${{CDC_SYNC_SECRET}}@127.0.0.1:{closed_port()}/clinic"))
    complaint(result)


def _file(folder: Path, url: str) -> Path:
    path = folder / "cdc-sync.toml"
    path.write_text(f'[node]\nname = "laptop"\ndatabase = "{url}"\n' + TABLE + SERVER)
    return path


def test_a_database_and_a_configuration_do_not_show_their_password_when_printed(
    make_side: Make, tmp_path: Path
) -> None:
    source, target = (made(make_side, "postgresql", name, SUBJECT) for name in ("source", "target"))
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with databases.connect(config.node.database, config.folder) as database:
        assert PASSWORD not in f"{config!r} {config} {database} {database!r}"


def test_the_log_of_a_replication_tells_no_password(
    make_side: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = (made(make_side, "postgresql", name, SUBJECT) for name in ("source", "target"))
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    caplog.set_level("DEBUG")
    result = run("replicate --once", config)
    assert result.exit_code == 0, everything(result)
    assert PASSWORD not in everything(result) + caplog.text
    assert received(config, target).applied == 1


# --- the command as its own process


@pytest.mark.parametrize(
    "arguments", [("status",), ("replicate",), ("replicate", "--once"), ("install-triggers", "--dry-run")], ids=" ".join
)
def test_the_command_ends_with_exit_code_2_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = _file(tmp_path, f"postgresql://dba:{PASSWORD}@127.0.0.1:{closed_port()}/clinic")
    command = [sys.executable, "-m", "cdc_sync", *arguments, "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize("arguments", [("replicat",), ("status", "--jsn"), ("status", "--config")], ids=" ".join)
def test_a_wrong_command_line_ends_with_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.main, list(arguments))
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_a_server_that_goes_away_is_unreachable_not_a_traceback(make_side: Make, tmp_path: Path) -> None:
    """The connection is refused half-way: the database no longer lets anyone in."""
    source, target = (made(make_side, kind, kind, SUBJECT) for kind in KINDS)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    name = target.rows("select current_database()")[0][0]
    target.run(f"alter database {name} connection limit 0")
    role = f"{name}_guest"
    target.script(f"create role {role} login")
    target.url = sa.make_url(target.url).set(username=role).render_as_string(False)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    try:
        with untouched(tmp_path, source, target):
            refused(run("replicate --once", config), Expected(("cannot connect", name), "lets you in"))
    finally:
        target.script(f"alter database {name} connection limit -1; drop role {role}")
