"""Whatever random transactions do to random tables, the server equals the source by natural key afterwards."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from cdc_sync import capture, config, databases, ship
from tests.journeys.random_schemas import Fk, Plan, Statement, Transaction, programs
from tests.servers import database


class Application:
    """An application's own connection, which knows nothing of cdc-sync."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.kind = "sqlite" if url.startswith("sqlite") else "postgresql"
        self.connection: Any = self._connect()

    def _connect(self) -> Any:
        if self.kind == "postgresql":
            return psycopg.connect(self.url, autocommit=True)
        Path(self.url.removeprefix("sqlite:///")).touch()
        connection = sqlite3.connect(self.url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        return connection

    def run(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(sql if self.kind == "sqlite" else sql.replace("?", "%s"), parameters or None or ())
        return cursor.fetchall() if cursor.description else []

    def attempt(self, statement: Statement) -> None:
        """Run a statement that may violate a constraint; then it leaves nothing behind."""
        self.run("savepoint attempt")
        try:
            self.run(*statement)
        except (sqlite3.IntegrityError, psycopg.errors.IntegrityError):
            self.run("rollback to savepoint attempt")
        self.run("release savepoint attempt")

    def transact(self, transaction: Transaction) -> None:
        self.run("begin")
        for statement in transaction.statements:
            self.attempt(statement)
        self.run("commit" if transaction.commits else "rollback")

    def clear(self) -> None:
        """An empty database again: faster than another one."""
        if self.kind == "postgresql":
            self.connection.execute("drop schema if exists cdc_sync cascade; drop schema public cascade; create schema public")
            return
        self.connection.execute("pragma foreign_keys = off")
        for kind, name in self.run("select type, name from sqlite_master where type = 'table' and name not like 'sqlite_%'"):
            self.run(f'drop {kind} "{name}"')
        self.connection.execute("pragma foreign_keys = on")


def rows_by_key(application: Application, plans: dict[str, Plan], name: str) -> set[tuple[Any, ...]]:
    """The table's rows with every foreign key replaced by what it stands for."""
    plan = plans[name]
    known = {table: dict(keys(application, plans, table)) for table in {fk.parent for fk in plan.fks}}
    columns = ["id", *(c for c, _ in plan.plain), *(fk.column for fk in plan.fks), "v", "n"]
    found = set()
    for row in application.run(f"select {', '.join(columns)} from {name}"):
        values = dict(zip(columns, row, strict=True))
        for fk in plan.fks:
            values[fk.column] = _stands_for(known, fk, values[fk.column])
        if not plan.global_key:
            del values["id"]
        found.add(tuple(values.values()))
    return found


def keys(application: Application, plans: dict[str, Plan], name: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each row's local id with its natural key, foreign keys followed."""
    plan = plans[name]
    inside = [fk for fk in plan.fks if fk.column in plan.key]
    known = {fk.parent: dict(keys(application, plans, fk.parent)) for fk in inside}
    for row in application.run(f"select id, {', '.join(plan.key)} from {name}"):
        values = dict(zip(plan.key, row[1:], strict=True))
        for fk in inside:
            values[fk.column] = _stands_for(known, fk, values[fk.column])
        yield row[0], tuple(values.values())


def _stands_for(known: dict[str, dict[Any, Any]], fk: Fk, value: Any) -> Any:
    return None if value is None else known[fk.parent][value]


@contextmanager
def two(source: str, target: str, server: sa.URL, folder: Path) -> Iterator[tuple[Application, Application]]:
    with database(server) as first, database(server) as second:
        urls = {
            ("sqlite", 0): f"sqlite:///{folder / 'source.db'}",
            ("sqlite", 1): f"sqlite:///{folder / 'target.db'}",
            ("postgresql", 0): first.render_as_string(hide_password=False),
            ("postgresql", 1): second.render_as_string(hide_password=False),
        }
        ends = Application(urls[source, 0]), Application(urls[target, 1])
        try:
            yield ends
        finally:
            for end in ends:
                end.connection.close()


def write_config(folder: Path, source: Application, target: Application, plans: list[Plan]) -> config.Config:
    tables = "".join(f'[[tables]]\nname = "{p.name}"\nkey = {list(p.key)}\n'.replace("'", '"') for p in plans)
    (folder / "cdc-sync.toml").write_text(
        f'[node]\nname = "random"\ndatabase = "{source.url}"\n{tables}'
        f'[[destinations]]\nname = "server"\nurl = "{target.url}"\n'
    )
    (folder / "random.key").unlink(missing_ok=True)
    return config.load(folder / "cdc-sync.toml")


def shift_ids(target: Application, plans: list[Plan]) -> None:
    """Have the target hand out other ids than the source."""
    for plan in plans:
        if plan.global_key:
            continue
        if target.kind == "postgresql":
            target.run(f"alter table {plan.name} alter column id restart with 1000")


PAIRS = [(a, b) for a in ("sqlite", "postgresql") for b in ("sqlite", "postgresql")]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_after_random_transactions_the_server_equals_the_source_by_natural_key(
    source: str, target: str, server: sa.URL, tmp_path: Path
) -> None:
    with two(source, target, server, tmp_path) as (ours, theirs):

        @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
        @given(programs())
        def holds(program: tuple[list[Plan], list[Transaction]]) -> None:
            _run(ours, theirs, tmp_path, *program)

        holds()


def _run(
    ours: Application, theirs: Application, folder: Path, plans: list[Plan], transactions: list[Transaction]
) -> None:
    for end in (ours, theirs):
        end.clear()
        for plan in plans:
            end.run(plan.ddl(end.kind))
    shift_ids(theirs, plans)
    settings = write_config(folder, ours, theirs, plans)
    with databases.connect(settings.node.database, settings.folder) as node:
        capture.install(node, settings, include_existing=False)
    for transaction in transactions:
        ours.transact(transaction)
        if transaction.replicate:
            ship.drain(settings, ship.Progress())
    ship.drain(settings, ship.Progress())
    by_name = {plan.name: plan for plan in plans}
    for plan in plans:
        assert rows_by_key(theirs, by_name, plan.name) == rows_by_key(ours, by_name, plan.name)
