"""Everything that Python must know about SQLite; the only user of sqlite3."""

import json
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote as percent

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from cdc_sync.core import wire
from cdc_sync.core.change import Column, Kind, Reference, Table
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import sqlfiles, sqlite_views
from cdc_sync.databases import sqlite_staging as staging_rows
from cdc_sync.databases import sqlite_tables as tables
from cdc_sync.databases.base import Chunk, Database, Mode, Session, Target, Tracked, constant, selectable
from cdc_sync.databases.memory import recalled
from cdc_sync.errors import CdcSyncError, ConfigError, DatabaseError, Unreachable

CHUNK = 2 * 1024 * 1024
BUSY_TIMEOUT = 30.0
"""Seconds to wait for another writer."""

TIDY = 2_000
"""Sealed changes deleted in one write transaction: some 5 ms of write lock on a laptop's disk."""

EVENTS = ("insert", "update", "delete", "replace", "displace")
"""The triggers of a captured table."""

_TEMPORARY = {
    **dict.fromkeys(("SQLITE_BUSY", "SQLITE_LOCKED"), "another program keeps the file locked; end it or try again"),
    "SQLITE_FULL": "make room on the disk",
    "SQLITE_IOERR": "look after the disk, or the network that it is reached by",
    "SQLITE_NOMEM": "have other programs leave more memory",
    "SQLITE_INTERRUPT": "try again",
}
"""Beginnings of the codes after which the same statement may succeed, and what to do until then."""

_BEGIN = {Mode.READ: "begin", Mode.SNAPSHOT: "begin", Mode.WRITE: "begin immediate"}


def open_url(url: sa.URL, folder: Path) -> Database:
    """The database in the URL's file, which must exist: a misspelt name must not make an empty database."""
    path = folder / (url.database or "")
    if not url.database or not path.is_file():
        raise Unreachable(f"there is no database file {url.database or ''!r}", hint="check the path in the URL")
    location = f"file:{percent(str(path.resolve()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        made = sqlite3.connect(location, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        made.execute("pragma synchronous = full")  # what a receipt says must outlast a power cut
        return made

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("pragma foreign_keys = on")
        connection.exec_driver_sql(connection.get_execution_options()["begin"])

    return SQLite(url, engine, path, connect)


class SQLite(Database):
    kind = "sqlite"
    stages_ahead = False
    encoding = "rows"
    keeps_known = True
    contended = ("SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED")
    _rendering: ClassVar[sa.Dialect] = SQLiteDialect_pysqlite(paramstyle="named")

    def __init__(self, url: sa.URL, engine: sa.Engine, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(url, engine)
        self.path = path
        self._connect = connect
        self._glancing: tuple[tuple[int, int], sqlite3.Connection] | None = None

    @property
    def rendering(self) -> sa.Dialect:
        return self._rendering

    def options(self, mode: Mode) -> dict[str, Any]:
        return {"begin": _BEGIN[mode]}

    def statements(self, text: str) -> Iterable[str]:
        """Split where SQLite itself sees a statement's end, so that trigger bodies stay whole."""
        pending = ""
        for line in text.splitlines(keepends=True):
            if pending or (line.strip() and not line.startswith("--")):
                pending += line
            if pending and sqlite3.complete_statement(pending):
                yield pending.strip().removesuffix(";")
                pending = ""
        if pending.strip():
            yield pending.strip()

    def translate(self, error: DBAPIError) -> CdcSyncError:
        return self._translated(error.orig) if isinstance(error.orig, sqlite3.Error) else DatabaseError(str(error.orig))

    def _translated(self, error: sqlite3.Error) -> CdcSyncError:
        code = getattr(error, "sqlite_errorname", "")
        if not code:
            return DatabaseError(
                f"{self} holds a value that cannot be read: text that is not UTF-8",
                hint="find it with typeof() and hex(), and store it as a BLOB or as UTF-8",
            )
        message = f"{self} refused a statement: {error} [{code}]"
        if code.startswith("SQLITE_READONLY"):
            return ConfigError(message, hint="make the file and its folder writable for this user")
        if code in ("SQLITE_NOTADB", "SQLITE_CANTOPEN"):
            return ConfigError(message, hint="check the path in the URL; it must name a SQLite database")
        hint = next((hint for start, hint in _TEMPORARY.items() if code.startswith(start)), None)
        return DatabaseError(message, code=code, temporary=hint is not None, hint=hint or "")

    @contextmanager
    def _raw(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from None

    def add_unique(self, table: str, columns: Sequence[str]) -> str:
        name = sqlfiles.quote(f"{table}_key")
        return f"create unique index {name} on {sqlfiles.quote(table)} ({sqlfiles.columns(columns)})"

    def set_not_null(self, table: str, column: str) -> str:
        return f"rebuild table {sqlfiles.quote(table)} with {sqlfiles.quote(column)} declared not null"

    def hand_out_numbers(self, table: str, column: str) -> str:
        return f"rebuild table {sqlfiles.quote(table)} with {sqlfiles.quote(column)} integer primary key"

    def reason(self, error: DBAPIError) -> str:
        return str(error.orig)

    connection_hint = "check the path in the URL and the rights on the file"

    def glance(self, query: sa.Select[*tuple[Any, ...]]) -> bool:
        """Over a connection that stays open, which reads the schema once, for as long as it is this file."""
        stat = self.path.stat()
        if self._glancing is None or self._glancing[0] != (stat.st_dev, stat.st_ino):
            self._stop_glancing()
            self._glancing = (stat.st_dev, stat.st_ino), self._connect()
        with self._raw():
            return bool(self._glancing[1].execute(self.compile(query)).fetchall())

    def _stop_glancing(self) -> None:
        if self._glancing is not None:
            self._glancing[1].close()
            self._glancing = None

    def close(self) -> None:
        self._stop_glancing()
        super().close()

    def mark(self, session: Session, names: Sequence[str]) -> str:
        return str(session.run("mark", names=json.dumps(list(names)))[0][0])

    def describe(self, session: Session, names: Sequence[str]) -> dict[str, Table]:
        return recalled(session, "describe", names, lambda: self._described(session, names))

    def _described(self, session: Session, names: Sequence[str]) -> dict[str, Table]:
        described = {name: self._table(session, name) for name in names}
        return {name: table for name, table in described.items() if table is not None}

    def _table(self, session: Session, name: str) -> Table | None:
        rows = session.run("columns", name=name)
        if not rows:
            return sqlite_views.described(session, name)
        if rows[0][9]:
            raise ConfigError(
                f"table {name!r} is a virtual table, and SQLite has no triggers for these",
                hint="configure the tables that it is filled from, and leave this one out",
            )
        columns, primary_key = tables.described(rows)
        indexes = [list(members) for _, members in groupby(session.run("uniques", name=name), key=lambda row: row[0])]
        uniques = [primary_key] if primary_key else []
        for index in indexes:
            key = tuple(row[2] for row in index)
            if None not in key and not index[0][4] and key not in uniques:
                uniques.append(key)
        return Table(
            name=rows[0][0],
            schema=None,
            columns=columns,
            primary_key=primary_key,
            uniques=tuple(uniques),
            exclusive=tables.exclusive(rows, indexes),
            involved=tables.involved(columns, indexes),
            references=tuple(self._references(session, name)),
        )

    def _references(self, session: Session, name: str) -> Iterator[Reference]:
        for _, members in groupby(session.run("references", name=name), key=lambda row: row[0]):
            key = list(members)
            target = tuple(row[3] for row in key)
            if None in target:
                target = tables.described(session.run("columns", name=key[0][2]))[1]
            yield Reference(columns=tuple(row[1] for row in key), table=key[0][2], target=target)

    def change_script(self, tracked: Tracked) -> str:
        tables.check_names(tracked.shape)
        holes = {"change": tracked.change, "definitions": tables.change_columns(tracked)}
        return sqlfiles.fill(self.text("capture/table"), holes)

    def capture_script(self, tracked: Tracked, *, guarded: bool = False) -> str:  # noqa: ARG002
        return sqlfiles.fill_some(self.text("capture/triggers"), self._capture_holes(tracked))

    def _capture_holes(self, tracked: Tracked) -> dict[str, str]:
        return {
            "table": tracked.table.name,
            "change": tracked.change,
            "captured": sqlfiles.columns(tracked.shape.names),
            "new": sqlfiles.columns(tracked.shape.names, "new."),
            "watched": sqlfiles.columns(tracked.watched),
            "old": sqlfiles.columns(tracked.watched, "old."),
            "old_watched": sqlfiles.columns(tracked.old),
            "when_changed": tables.when_changed(tracked),
            **tables.collision_holes(tracked.table, tracked.shape),
            **self.stop_holes(tracked.change),
        }

    def triggers(self, tracked: Tracked) -> set[str]:
        return {f"{event} {tracked.table.name}" for event in EVENTS}

    def stop_holes(self, change: str) -> dict[str, str]:
        return {f"{event}_trigger": _beside(change, event) for event in EVENTS}

    def known_name(self, change: str) -> str:
        return _beside(change, "known")

    def health(self, session: Session, **limits: object) -> list[tuple[Any, ...]]:
        return session.run("health", flawed=(3, 7, 0) <= sqlite3.sqlite_version_info <= (3, 51, 2), **limits)

    def change_name(self, readable: str) -> str:
        return f"cdc_sync_{readable}"

    def found(self, session: Session) -> dict[str, set[str]]:
        triggers: defaultdict[str, set[str]] = defaultdict(set)
        for table, name, _ in session.run("triggers"):
            event, _, readable = name.removeprefix("cdc_sync_").partition("_")
            triggers[self.change_name(readable)].add(f"{event} {table}")
        return triggers

    def blind(self, session: Session, tracked: Tracked, change: str) -> bool:
        texts = [text for _, name, text in session.run("triggers") if name == _beside(change, "replace")]
        return not all(tables.sees(text, tracked.table) for text in texts)

    def whole(self, query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
        """With a limit it is not flattened: else an update scans its whole table for each of a few staged rows."""
        return query.limit(-1)

    def retype(self, column: str, declared: str) -> str:  # noqa: ARG002
        return column

    def change_table(self, change: str, columns: Sequence[str]) -> sa.TableClause:
        return selectable(None, change, columns)

    def table(self, table: Table) -> sa.TableClause:
        return selectable(None, table.name, table.names)

    def op(self, op: sa.ColumnElement[Any], changed: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        return sa.case((sa.and_(op == constant("U"), changed), constant("K")), else_=op)

    def captured_at(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.strftime(constant("%Y-%m-%d %H:%M:%f+00"), column)

    def unsealed(self, change: sa.FromClause, name: str) -> sa.ColumnElement[bool]:
        captured = sa.table("cdc_sync_captured", sa.column("sealed"), sa.column("change_table"))
        sealed = sa.select(captured.c.sealed).where(captured.c.change_table == constant(name)).scalar_subquery()
        return change.c["cdc_sync_seq"] > sealed

    def read_rows(self, session: Session, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Chunk]:
        session.driver.text_factory = _text
        with self._raw():
            cursor = session.driver.execute(self.compile(query))
            count = 100
            while rows := cursor.fetchmany(count):
                data = wire.pack_rows(rows)
                yield Chunk(data=data, rows=len(rows))
                count = max(1, min(20_000, CHUNK * len(rows) // len(data)))

    def store_parts(self, snapshot: Session, number: int, parts: Iterable[bytes]) -> None:
        """One short write transaction a part. Ends the snapshot first: without WAL, a reader keeps writers waiting."""
        snapshot.driver.commit()
        for i, data in enumerate(parts):
            with self.begin(Mode.WRITE) as session:
                if i == 0:
                    session.run("outbox_tidy", number=number - 1)
                session.run("outbox_part_add", number=number, part=i, data=data)

    @contextmanager
    def sealing(self, snapshot: Session) -> Iterator[Session]:  # noqa: ARG002
        with self.begin(Mode.WRITE) as session:
            yield session

    @contextmanager
    def muted(self, session: Session) -> Iterator[None]:
        changes = [row[1] for row in session.run("captured") if row[1]]
        before = {change: session.run("newest", {"change": change})[0][0] for change in changes}
        yield
        for change, seq in before.items():
            session.run("unmute", {"change": change}, seq=seq)

    @contextmanager
    def resting(self, session: Session, tables: Sequence[Table]) -> Iterator[None]:
        """The schema is part of the transaction: triggers are dropped, and made again in their order before it ends.

        Ours on the same tables with them, or they would no more be the ones that fire last.
        """
        found = session.run("triggers/of", tables=json.dumps([table.name for table in tables]))
        for trigger, _ in found:
            session.run("triggers/rest", {"trigger": trigger})
        yield
        for _, text in found:
            session.script(text)

    def newest(self, session: Session, change: str) -> int:
        return int(session.run("newest", {"change": change})[0][0])

    def clear_changes(self, session: Session, change: str, upto: int) -> None:
        session.run("change_clear", change_table=change, seq=upto)

    def tidy_changes(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Works half the time and rests half the time, so that other writers always get their turn."""
        for change, holes in changes.items():
            goes_on = True
            while goes_on:
                started = time.monotonic()
                with self.begin(Mode.WRITE) as session:
                    goes_on = self._tidy(session, change, holes)
                if goes_on:
                    time.sleep(time.monotonic() - started)

    def _tidy(self, session: Session, change: str, holes: Mapping[str, str]) -> bool:
        upto = session.run("known/next", {"change": change}, change_table=change, most=TIDY)[0][0]
        if upto is None:
            return False
        self.advance_known(session, change, holes, upto)
        session.run("change_tidy", {"change": change}, change_table=change)
        return True

    def advance_known(self, session: Session, change: str, holes: Mapping[str, str], upto: int) -> None:
        session.fill("known/advance", holes, change_table=change, upto=upto)

    def create_staging(
        self,
        session: Session,
        name: str,
        columns: Sequence[tuple[str, str]],
        *,
        lasting: bool = False,  # noqa: ARG002
    ) -> sa.TableClause:
        session.run("create_staging", {"name": name, "columns": sqlfiles.columns(c for c, _ in columns)})
        return sa.table(name, *(sa.column(column) for column, _ in columns))

    def keep(self, session: Session, name: str, query: sa.Select[*tuple[Any, ...]]) -> None:
        session.run("keep", {"name": name, "query": self.compile(query)})

    def spares(
        self, column: Column, value: sa.ColumnElement[Any], rows: sa.FromClause, n: sa.ColumnElement[Any]
    ) -> list[sa.ColumnElement[Any]]:
        text = sa.cast(n, sa.Text).concat(constant(uuid.uuid4().hex))
        if column.kind not in (Kind.INTEGER, Kind.NUMERIC, Kind.FLOAT):
            return [text]
        ends = [sa.select(end).select_from(rows).scalar_subquery() for end in (sa.func.max(value), sa.func.min(value))]
        return [ends[0] + n, ends[1] - n, text]

    def fill_staging(
        self, session: Session, staging: str, columns: Sequence[Staged], targets: Sequence[Target], part: PartRows
    ) -> None:
        names = sqlfiles.columns(column.name for column in columns)

        def insert(marks: str, rows: Iterable[Sequence[Any]]) -> None:
            holes = {"name": staging, "columns": names, "marks": marks}
            session.driver.executemany(sqlfiles.fill(self.text("fill_staging"), holes), rows)

        with self._raw():
            if part.encoding == "copy":
                insert(_marks(columns), staging_rows.from_copy(part.data, columns, targets))
            elif wire.is_utf8(rows := wire.unpack_rows(part.data)):
                insert(_marks(columns), staging_rows.checked(rows, columns, targets))
            else:
                for marks, group in groupby(staging_rows.checked(rows, columns, targets), key=_marks):
                    insert(marks, map(_bindable, group))

    def dangling(self, session: Session, tables: Sequence[Table]) -> set[tuple[Any, ...]]:
        return set(session.run("dangling", tables=json.dumps([table.name for table in tables])))

    def identity(self, session: Session) -> str:
        return str(Path(session.run("identity")[0][0]).resolve())


def _text(data: bytes) -> str | wire.NotUtf8:
    """SQLite takes any bytes for text; one odd row must not keep a whole node from sealing."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return wire.NotUtf8(data)


def _marks(row: Sequence[Any]) -> str:
    return ", ".join("cast(? as text)" if isinstance(value, wire.NotUtf8) else "?" for value in row)


def _bindable(row: Sequence[Any]) -> list[Any]:
    return [value.data if isinstance(value, wire.NotUtf8) else value for value in row]


def _beside(change: str, what: str) -> str:
    """The name of something that belongs to a change table."""
    return f"cdc_sync_{what}_{change.removeprefix('cdc_sync_')}"
