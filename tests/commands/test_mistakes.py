"""A mistake in the file or on the command line is named with what to type, and nothing is touched."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from cdc_sync import cli
from tests.commands.conftest import SERVER, SUBJECT, TABLE, Expected, made, refused, run, untouched
from tests.conftest import Make
from tests.nodes import install, write_config


@dataclass(frozen=True)
class Mistake:
    """A file's text, what must be said of it, and a command that finds it out."""

    id: str
    text: str
    expected: Expected
    command: str = "install-triggers"


NODE = '[node]\nname = "laptop"\ndatabase = "sqlite:///field.db"\n'

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


@pytest.mark.parametrize("arguments", [("replicat",), ("status", "--jsn"), ("status", "--config")], ids=" ".join)
def test_a_wrong_command_line_ends_with_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.main, list(arguments))
    assert result.exit_code == 2
    assert "Error" in result.stderr
