"""Whatever programs do to a SQLite file, by whatever statement and amid whatever migration, the server follows."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from cdc_sync import databases, follow
from cdc_sync.config import Config
from cdc_sync.databases.sqlfiles import quote
from tests.journeys.random_sqlite import SETTINGS, TARGET, TEXTS, VALUES, Program, Turn, programs
from tests.nodes import Shape, Side, by_natural_key, install, replicate, waiting, write_config

VISIT = 'The "B" visit'
TABLES = {"subject": ["code"], VISIT: ["subject_id", "Select"]}
ORPHANS = 'delete from "The ""B"" visit" where subject_id not in (select id from subject)'


COUNTS = {250: 500}
"""A deep run plays twice as many programs here: they cost half as much as those of PostgreSQL."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_after_random_statements_of_every_kind_the_server_equals_the_sqlite_source(
    make_side: Callable[..., Side], tmp_path: Path, kind: str
) -> None:
    ran = 0

    @settings(max_examples=COUNTS.get(settings().max_examples, settings().max_examples))
    @given(programs(VALUES if kind == "sqlite" else TEXTS))
    def holds(program: Program) -> None:
        nonlocal ran
        with source(tmp_path) as side:
            _World(side, target, tmp_path).play(program)
        ran += 1

    target = make_side(kind, "target")
    holds()
    assert ran >= settings().max_examples


@contextmanager
def source(folder: Path) -> Iterator[Side]:
    """A new file for each program: its journal mode and what else a file remembers are the program's own."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        closing(Side("sqlite", f"sqlite:///{own}/source.db", folder)) as side,
    ):
        side.run("pragma synchronous = off")
        side.run("vacuum")
        yield side


class _World:
    """One program's source, with the connections of its applications, and its node."""

    def __init__(self, source: Side, target: Side, folder: Path) -> None:
        self.source = source
        self.target = target
        self.folder = folder
        self.note = "note"
        self.added = 0

    def play(self, program: Program) -> None:
        self.target.clear()
        self.target.script(TARGET)
        self.source.run(f"pragma journal_mode = {'wal' if program.schema.wal else 'delete'}")
        for text in program.schema.ddl():
            self.source.run(text)
        config = write_config(self.folder, "laptop", self.source, self.target, TABLES)
        install(config)
        for text in program.schema.triggers(program.schema.after, "after"):
            self.source.run(text)
        for turn in program.turns:
            self.take(config, turn)
        self.settle(config)
        follow_up(config, follow.resume)
        self.settle(config)
        self.check(config)

    def take(self, config: Config, turn: Turn) -> None:
        with closing(self.source.connect()) as connection:
            for setting in SETTINGS[turn.connection]:
                connection.execute(setting)
            if turn.migration:
                self.migrate(config, connection, turn.migration)
            else:
                self.transact(connection, turn)
        if turn.replicate:
            self.settle(config)

    def migrate(self, config: Config, connection: sqlite3.Connection, name: str) -> None:
        if name in ("pause", "resume"):
            follow_up(config, getattr(follow, name))
            return
        try:
            getattr(_Migration(self, connection), name.replace(" ", "_"))()
        except sqlite3.IntegrityError:
            if connection.in_transaction:
                connection.execute("rollback")

    def settle(self, config: Config) -> None:
        """Replicate. Where foreign keys are not enforced, visits without a subject cannot travel: they go first."""
        self.source.run(ORPHANS)
        replicate(config)

    def transact(self, connection: sqlite3.Connection, turn: Turn) -> None:
        """A transaction, or statements that commit each by itself; what is refused leaves the rest as it is."""
        if turn.begin:
            connection.execute(turn.begin)
        for text, values in turn.statements:
            self.attempt(connection, text.format(note=self.note), values)
        if connection.in_transaction:
            self.attempt(connection, "commit" if turn.commits else "rollback")
        if connection.in_transaction:
            connection.execute("rollback")

    def attempt(self, connection: sqlite3.Connection, text: str, values: tuple[Any, ...] = ()) -> None:
        try:
            connection.execute(text, values).fetchall()
        except (sqlite3.IntegrityError, sqlite3.OperationalError) as error:
            known = (
                "constraint failed",
                "no such savepoint",
                "mismatch",
                "cannot start",
                "cannot store",
                "because it is a view",
            )
            assert any(words in str(error) for words in known), f"{text}: {error}"

    def check(self, config: Config) -> None:
        values = [self.note, "phone", "bed", "ward", "spare", *(f"added{i}" for i in range(self.added))]
        shapes = [
            Shape("subject", ("code",), tuple(values), {"bed": str}),
            Shape('The ""B"" visit', ("subject_id>subject.code", "Select")),
        ]
        for shape in shapes:
            assert by_natural_key(self.target, shape) == by_natural_key(self.source, shape)
        assert waiting(config) == 0


def follow_up(config: Config, work: Callable[..., object]) -> None:
    """What ``cdc-sync pause`` and ``cdc-sync resume`` do."""
    with databases.connect(config.node.database, config.folder) as database:
        work(database, config, [])


class _Migration:
    """Changes of the schema, at the source and where they matter at the target."""

    def __init__(self, world: _World, connection: sqlite3.Connection) -> None:
        self.world = world
        self.connection = connection

    def both(self, text: str) -> None:
        self.connection.execute(text)
        self.world.target.run(text)

    def add(self) -> None:
        self.both(f"alter table subject add column added{self.world.added} text")
        self.world.added += 1

    def fill(self) -> None:
        """A column that comes with a value in every row, which no trigger sees."""
        self.both(f"alter table subject add column added{self.world.added} integer not null default 7")
        self.world.added += 1

    def rename_column(self) -> None:
        self.both(f"alter table subject rename column {self.world.note} to {self.world.note}_")
        self.world.note += "_"

    def rename_table(self) -> None:
        """Away and back: triggers follow a table that is renamed."""
        self.connection.execute("alter table subject rename to elsewhere")
        self.connection.execute("alter table elsewhere rename to subject")

    def rebuild(self) -> None:
        """As Django and Alembic do it: new table, copy, drop, rename."""
        self._rebuild(lambda text: text)

    def rebuild_with_another_type(self) -> None:
        self._rebuild(lambda text: text.replace("bed integer", "bed text"))

    def _rebuild(self, rewrite: Callable[[str], str]) -> None:
        execute = self.connection.execute
        execute("pragma foreign_keys = off")
        execute("pragma legacy_alter_table = on")
        execute("begin")
        text = execute("select sql from sqlite_master where name = 'subject'").fetchone()[0]
        columns = [row[1] for row in execute("pragma table_xinfo(subject)") if not row[6]]
        names = ", ".join(f'"{name}"' for name in columns)
        execute(rewrite(text.replace("subject", "new__subject", 1)))
        execute(f"insert into new__subject ({names}) select {names} from subject")
        execute("drop table subject")
        execute("alter table new__subject rename to subject")
        execute("commit")

    def index(self) -> None:
        self.connection.execute(
            f"create unique index if not exists later on subject ({self.world.note}) where {self.world.note} = 'unique'"
        )

    def unindex(self) -> None:
        self.connection.execute("drop index if exists later")

    def lose_triggers(self) -> None:
        triggers = "select name from sqlite_master where type = 'trigger' and name like 'cdc_sync_%'"
        for (name,) in self.connection.execute(triggers).fetchall():
            self.connection.execute(f"drop trigger {quote(name)}")
