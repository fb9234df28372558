"""Whatever sessions do to a PostgreSQL database, by any statement and amid any migration, the server follows."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from cdc_sync import databases, follow
from cdc_sync.config import Config
from tests.journeys.random_postgresql import HOSTILE, REPLICA, SESSIONS, TARGET, Program, Schema, Turn, programs
from tests.nodes import Shape, Side, by_natural_key, install, replicate, waiting, write_config

ORPHANS = "delete from visit where subject_id not in (select id from subject)"
REFUSALS = ("21", "23", "27", "40", "55", "42501", "42P10", "0A", "3B001", "25P02", "428C9", "42809", "42P01", "42703")
"""SQLSTATEs, or their classes, of what PostgreSQL itself may refuse in these programs."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_after_random_statements_of_every_kind_the_server_equals_the_postgresql_source(
    make_side: Callable[..., Side], tmp_path: Path, kind: str
) -> None:
    source, target = make_side("postgresql", "source"), make_side(kind, "target")
    ran = 0

    @given(programs)
    def holds(program: Program) -> None:
        nonlocal ran
        with _World(source, target, tmp_path, guest) as world:
            world.play(program)
        ran += 1

    with role(source) as guest:
        holds()
    assert ran >= settings().max_examples


@contextmanager
def role(source: Side) -> Iterator[str]:
    """A role that may write the application's tables, and nothing else."""
    guest = f"{sa.make_url(source.url).database}_guest"
    source.run(f"create role {guest}")
    try:
        yield guest
    finally:
        source.run(f"drop owned by {guest}")
        source.run(f"drop role {guest}")


class _World:
    """One program's databases, the sessions of its applications, and its node.

    ``locked``: an open transaction may keep even readers out of a table, so it must end before the node replicates.
    """

    def __init__(self, source: Side, target: Side, folder: Path, guest: str) -> None:
        self.source = source
        self.target = target
        self.folder = folder
        self.guest = guest
        self.sessions: dict[int, psycopg.Connection[Any]] = {}
        self.prepared: list[str] = []
        self.locked = False

    def __enter__(self) -> "_World":
        self.source.run("drop schema if exists hostile cascade")
        for side in (self.source, self.target):
            side.clear()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.sessions.values():
            connection.close()
        for (gid,) in self.source.rows("select gid from pg_prepared_xacts where database = current_database()"):
            self.source.run(f"rollback prepared '{gid}'")

    def play(self, program: Program) -> None:
        self.source.script(program.schema.ddl())
        self.source.script(HOSTILE)
        self.source.script(
            f"grant usage on schema public, hostile to {self.guest}; "
            f"grant select, insert, update, delete, truncate on all tables in schema public to {self.guest}"
        )
        self.target.script(TARGET)
        config = write_config(self.folder, "clinic", self.source, self.target, program.schema.tables)
        install(config)
        strict = program.schema.shifting or program.schema.deferred
        for turn in program.turns:
            self.take(config, replace(turn, session=0) if strict and turn.session == REPLICA else turn)
        self.settle(config)
        work(config, follow.resume)
        self.settle(config)
        self.check(config, program.schema)

    def take(self, config: Config, turn: Turn) -> None:
        if turn.migration or turn.session == REPLICA:
            self.finish()
        if turn.migration in ("pause", "resume"):
            work(config, getattr(follow, turn.migration))
        else:
            self.transact(turn)
        if turn.replicate:
            if self.locked:
                self.finish()
                self.mirror()
            replicate(config)
            self.locked = False

    def settle(self, config: Config) -> None:
        self.finish()
        self.mirror()
        replicate(config)

    @property
    def note(self) -> str:
        """What the column of remarks is called by now."""
        return next(name for name in columns(self.source, "subject") if name.startswith("note"))

    def mirror(self) -> None:
        """The target gets the columns that the source has come to have."""
        for table in ("subject", "sample"):
            there = columns(self.target, table)
            for name in columns(self.source, table):
                if name.startswith("note") and name not in there:
                    former = next(other for other in there if other.startswith("note"))
                    self.target.run(f"alter table {table} rename column {former} to {name}")
                elif name not in there:
                    self.target.run(f"alter table {table} add column {name} text")

    def session(self, number: int) -> psycopg.Connection[Any]:
        if number not in self.sessions:
            connection = self.source.connect()
            connection.execute(SESSIONS[number].format(guest=self.guest) or "select 1")
            connection.execute("set lock_timeout = '40ms'")
            self.sessions[number] = connection
        return self.sessions[number]

    def transact(self, turn: Turn) -> None:
        connection = self.session(turn.session)
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            connection.execute("begin")
        for text in turn.statements:
            attempt(connection, text.replace("{note}", self.note))
        if turn.migration:
            attempt(connection, *_Migration(self).texts(turn.migration))
            self.locked = True
        for text in turn.after:
            attempt(connection, text.replace("{note}", self.note))
        if turn.session == REPLICA:
            attempt(connection, ORPHANS)
        self.locked |= any("truncate" in text for text in (*turn.statements, *turn.after))
        self.end(connection, "commit" if not turn.end and (turn.migration or turn.session == REPLICA) else turn.end)

    def end(self, connection: psycopg.Connection[Any], how: str) -> None:
        """Commit, roll back or prepare. A deferred constraint may refuse, and so may a server that prepares nothing."""
        if not how:
            return
        if how == "prepare":
            self.prepared.append(f"{self.guest}-{len(self.prepared)}")
            how = f"prepare transaction '{self.prepared[-1]}'"
        try:
            connection.execute(how)
        except psycopg.Error as error:
            refused(error)
            connection.rollback()

    def finish(self) -> None:
        """No transaction stays open: whoever changes a table waits for those who wrote it."""
        for connection in self.sessions.values():
            self.end(connection, "commit")
        for (gid,) in self.source.rows("select gid from pg_prepared_xacts where database = current_database()"):
            self.source.run(f"{'commit' if gid.endswith(('0', '2')) else 'rollback'} prepared '{gid}'")

    def check(self, config: Config, schema: Schema) -> None:
        shapes = [self.shape("subject", ("code",)), self.shape("sample", ("code", "year"))]
        if not schema.shifting:
            shapes.append(Shape("visit", ("subject_id>subject.code", "code"), ("note",)))
        for shape in shapes:
            assert by_natural_key(self.target, shape) == by_natural_key(self.source, shape)
        assert waiting(config) == 0

    def shape(self, table: str, key: tuple[str, ...]) -> Shape:
        rest = tuple(name for name in columns(self.source, table) if name not in key)
        return Shape(table, key, rest, {name: str for name in rest if name.startswith("added")})


def work(config: Config, what: Callable[..., object]) -> None:
    """What ``cdc-sync pause`` and ``cdc-sync resume`` do."""
    with databases.connect(config.node.database, config.folder) as database:
        what(database, config, [])


def attempt(connection: psycopg.Connection[Any], *texts: str) -> None:
    """Run statements within the session's transaction; what is refused leaves the rest as it is."""
    connection.execute("savepoint attempt")
    try:
        for text in texts:
            execute(connection, text)
    except psycopg.Error as error:
        refused(error)
        connection.execute("rollback to savepoint attempt")
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        with suppress(psycopg.errors.InvalidSavepointSpecification):
            connection.execute("release savepoint attempt")


def execute(connection: psycopg.Connection[Any], text: str) -> None:
    if not text.startswith("copy"):
        connection.execute(text)
        return
    with closing(connection.cursor()) as cursor, cursor.copy(text) as copy:
        for row in (("a", 2001, "7"), ("d", 2030, "8")):
            copy.write_row(row)


def refused(error: psycopg.Error) -> None:
    """It is PostgreSQL that refuses, for a reason of the program's own: nothing of ours has a part in it."""
    told = f"{error.sqlstate} {error} {error.diag.context}"
    assert "cdc_sync" not in told, told
    assert (error.sqlstate or "").startswith(REFUSALS), told


class _Migration:
    """Changes of the schema, at the source and where they matter at the target."""

    def __init__(self, world: _World) -> None:
        self.world = world

    def texts(self, name: str) -> list[str]:
        return list(getattr(self, name.replace(" ", "_"))())

    def add(self) -> Iterator[str]:
        yield f"alter table subject add column {self.fresh} text"

    def fill(self) -> Iterator[str]:
        """A column that comes with a value in every row, which no trigger sees."""
        yield f"alter table subject add column {self.fresh} integer not null default 7"

    def drop(self) -> Iterator[str]:
        added = [name for name in columns(self.world.source, "subject") if name.startswith("added")]
        yield (
            f"alter table subject drop column {added[0]}" if added else "alter table visit drop column if exists extra"
        )

    def rename(self) -> Iterator[str]:
        note = self.world.note
        yield f"alter table subject rename column {note} to {note}_"

    def retype(self) -> Iterator[str]:
        """Rows change with their column's type, without a word to any trigger."""
        yield "alter table subject alter column big type varchar(20000) using coalesce(big, 'retyped')"

    def attach(self) -> Iterator[str]:
        name = f"extra_{next(_numbers)}"
        if self.partitioned:
            yield f"create table {name} (year integer not null, note text, code text not null)"
            yield f"insert into {name} values (2045, 'attached', 'a'), (2046, 'attached', 'b')"
            yield f"alter table sample attach partition {name} for values from (2040) to (2060)"
        else:
            yield f"create table {name} (more text, primary key (code, year)) inherits (sample)"
            yield f"insert into {name} values ('{name}', 2045, 'came')"

    def detach(self) -> Iterator[str]:
        if self.partitioned:
            yield "alter table sample detach partition sample_old"
        else:
            yield "alter table sample_old no inherit sample"

    def rename_branch(self) -> Iterator[str]:
        yield "alter table sample_new_a rename to sample_newer_a"

    def alter_branch(self) -> Iterator[str]:
        """Each partition has to have the column, and none may say so by itself."""
        yield f"alter table sample add column {self.fresh} integer default 3"

    @property
    def fresh(self) -> str:
        return f"added{next(_numbers)}"

    @property
    def partitioned(self) -> bool:
        return bool(self.world.source.rows("select 1 from pg_partitioned_table where partrelid = 'sample'::regclass"))


_numbers = count()


def columns(side: Side, table: str) -> list[str]:
    """A table's columns, but for its number and what is computed."""
    query = {
        "sqlite": f"select name from pragma_table_info('{table}')",
        "postgresql": "select attname from pg_attribute where attnum > 0 and not attisdropped "
        f"and attgenerated = '' and attrelid = 'public.{table}'::regclass",
    }
    return [name for (name,) in side.rows(query[side.kind]) if name != "id"]
