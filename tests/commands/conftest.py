"""Commands run as a shell would, with what they say and leave; and a node with one destination to run them on."""

import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from cdc_sync import cli
from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Row, Shape, Side, write_config

KINDS = ("sqlite", "postgresql")
PASSWORD = "Xylophone7"
SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"
CHECKED = "create table subject (id {pk}, code text not null unique, note text check (note <> 'refused'));"
TABLE = '[[tables]]\nname = "subject"\nkey = ["code"]\n'
SERVER = '[[destinations]]\nname = "server"\nurl = "sqlite:///server.db"\n'
SHAPE = Shape("subject", ("code",), ("note",))
PATIENCE = 20.0
"""Seconds that something may take on a busy machine before a test gives up."""

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


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Walk:
    """A node and its one destination, both with a table ``subject``."""

    config: Config
    source: Side
    target: Side

    def add(self, *codes: str) -> None:
        for code in codes:
            self.source.run("insert into subject (code) values (?)", (code,))

    def arrived(self) -> list[str]:
        return [code for (code,) in self.target.rows("select code from subject order by code")]


@pytest.fixture
def walk(make_side: Make, tmp_path: Path, kind: str) -> Walk:
    return made_walk(make_side, tmp_path, kind, "sqlite")


def made_walk(make_side: Make, folder: Path, source_kind: str, target_kind: str, schema: str = SUBJECT) -> Walk:
    source, target = make_side(source_kind, "source"), make_side(target_kind, "target")
    source.script(SUBJECT)
    target.script(schema)
    return Walk(write_config(folder, "laptop", source, target, {"subject": ["code"]}), source, target)


def ours(side: Side) -> str:
    return "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"


def captured(side: Side, columns: str = "cdc_sync_op, code") -> list[Row]:
    """What stands in the change table of ``subject``."""
    change = side.rows(f"select change_table from {ours(side)}captured where table_name = 'subject'")[0][0]
    table = f'cdc_sync."{change}"' if side.kind == "postgresql" else f'"{change}"'
    return sorted(side.rows(f"select {columns} from {table}"))


def eventually(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    until = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def by_hand(side: Side, script: str) -> None:
    """Run a script as a DBA does, in the database's own shell."""
    if side.kind == "postgresql":
        with psycopg.connect(side.url) as connection:
            connection.execute(script.encode())
        return
    with side.connect() as connection:
        connection.executescript(script)
    connection.close()
