"""Everything that Python must know about PostgreSQL; the only user of psycopg."""

import re
import selectors
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from cdc_sync.core.change import Column, Kind, Reference, Table
from cdc_sync.core.layout import Staged
from cdc_sync.core.wire import PartRows
from cdc_sync.databases import postgresql_capture as holes
from cdc_sync.databases import postgresql_staging as staging_rows
from cdc_sync.databases import sqlfiles
from cdc_sync.databases.base import Chunk, Database, Mode, Session, Target, Tracked, constant, selectable
from cdc_sync.databases.refusals import check
from cdc_sync.errors import CdcSyncError, ConfigError, DatabaseError, RefusedRow

CHUNK = 2 * 1024 * 1024
_LENGTH = re.compile(r"\((\d+)\)")

# Text forms that every server reads back to the same value, whatever the role or database has set
# (notes: hostile DateStyle, IntervalStyle, TimeZone, extra_float_digits and bytea_output each broke a peer).
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "row_security": "off",  # rows that a policy hides are an error, not missing
    "client_encoding": "UTF8",
}

_KINDS = {
    "bool": Kind.BOOLEAN,
    **dict.fromkeys(("int2", "int4", "int8", "oid"), Kind.INTEGER),
    **dict.fromkeys(("float4", "float8"), Kind.FLOAT),
    "numeric": Kind.NUMERIC,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), Kind.TEXT),
    "bytea": Kind.BYTES,
    "date": Kind.DATE,
    **dict.fromkeys(("time", "timetz"), Kind.TIME),
    **dict.fromkeys(("timestamp", "timestamptz"), Kind.TIMESTAMP),
    "uuid": Kind.UUID,
    **dict.fromkeys(("json", "jsonb"), Kind.JSON),
}

EVENTS = ("insert", "update", "delete", "key", "truncate")
"""The triggers of a captured table; a table with partitions or children has none for keys."""

_TEMPORARY = ("08", "40", "53", "55", "57", "58")
"""SQLSTATE classes after which the same statement may succeed: connection, rollback, resources, locks, stop, disk."""

_SPEAKING = ("22", "23", "P0")
"""SQLSTATE classes whose messages may quote a row's values: only their condition's name is passed on."""


def open_url(url: sa.URL, _folder: Path) -> Database:
    """The database behind the URL; ``options`` in it are kept."""
    given = url.query.get("options", "")
    options = " ".join([str(given), *(f"-c {name}={value}" for name, value in _SETTINGS.items())]).strip()
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={"options": options, "application_name": "cdc-sync", "connect_timeout": 10},
        pool_pre_ping=True,
    )
    sa.event.listen(engine, "connect", _make_durable)
    return PostgreSQL(url, engine)


def _make_durable(connection: psycopg.Connection[Any], _record: object) -> None:
    """What a receipt says must outlast a power cut, whatever the application has settled for."""
    connection.execute(
        "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'"
    )
    connection.commit()


class PostgreSQL(Database):
    kind = "postgresql"
    stages_ahead = True
    encoding = "copy"
    keeps_known = False
    many_writers = True
    contended = ("40001", "40P01", "55P03")
    in_use = ("55P03",)
    _rendering: ClassVar[sa.Dialect] = PGDialect_psycopg(paramstyle="named")  # type: ignore[no-untyped-call]

    @property
    def rendering(self) -> sa.Dialect:
        return self._rendering

    def options(self, mode: Mode) -> dict[str, Any]:
        return {"isolation_level": "READ COMMITTED" if mode is Mode.WRITE else "REPEATABLE READ"}

    def statements(self, text: str) -> Iterable[str]:
        return [text]

    def translate(self, error: DBAPIError) -> CdcSyncError:
        return self._translated(error.orig) if isinstance(error.orig, psycopg.Error) else DatabaseError(str(error.orig))

    def _translated(self, error: psycopg.Error) -> CdcSyncError:
        code, diag = error.sqlstate or "", error.diag
        what = type(error).__name__
        if diag.message_primary and not code.startswith(_SPEAKING):
            what = diag.message_primary
        places = (("table", diag.table_name), ("column", diag.column_name), ("constraint", diag.constraint_name))
        where = ", ".join(f"{label} {name!r}" for label, name in places if name)
        message = (
            f"{self} refused a statement: {what}" + (f" ({where})" if where else "") + (f" [{code}]" if code else "")
        )
        if code == "25006":
            return ConfigError(message, hint="the database is read-only; name its writable server in the URL")
        if code == "42501":
            return ConfigError(message, hint="give the role in the URL the right to do this")
        return DatabaseError(message, code=code, temporary=not code or code.startswith(_TEMPORARY))

    @contextmanager
    def _raw(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise self._translated(error) from None

    def set_not_null(self, table: str, column: str) -> str:
        return f"alter table {sqlfiles.path(table)} alter column {sqlfiles.quote(column)} set not null"

    def hand_out_numbers(self, table: str, column: str) -> str:
        return (
            f"alter table {sqlfiles.path(table)} alter column {sqlfiles.quote(column)} "
            "add generated by default as identity"
        )

    def reason(self, error: DBAPIError) -> str:
        return "the server does not answer or refuses the login" if error.orig is None else _first_line(error.orig)

    def describe(self, session: Session, names: Sequence[str]) -> dict[str, Table]:
        asked = {"names": list(names)}
        columns = _grouped(session.run("columns", **asked))
        uniques = _grouped(session.run("uniques", **asked))
        involved = _grouped(session.run("keys/involved", **asked))
        references = _grouped(session.run("references", **asked))
        branches = _grouped(session.run("branches", **asked))
        known = {(rows[0][1], rows[0][2]): name for name, rows in columns.items()}
        return {
            name: Table(
                name=rows[0][2],
                schema=rows[0][1],
                columns=tuple(_column(row) for row in rows),
                primary_key=next((key for key, primary in _uniques(uniques[name]) if primary), ()),
                uniques=tuple(key for key, _ in _uniques(uniques[name])),
                involved=tuple(column for _, column in involved[name]),
                partitioned=rows[0][-3],
                parent=rows[0][-2] or "",
                veiled=rows[0][-1],
                branches=tuple((schema, branch) for _, schema, branch in branches[name]),
                references=tuple(_references(references[name], known)),
            )
            for name, rows in columns.items()
        }

    def check_bystanders(self, session: Session) -> None:
        for (name,) in session.run("capture/publications"):
            raise ConfigError(
                f"publication {name!r} is for all tables: our tables would be published, and subscribers would stop",
                hint="make it anew for tables in schema public, or for the tables that it is meant for",
            )

    def install_script(self, session: Session) -> str:
        names = ["install", "capture/follow"] + ([] if self.guarded(session) else ["capture/follow_trigger"])
        return "\n".join(map(self.text, names))

    def lacking(self, session: Session, tables: Sequence[str], rights: Sequence[str]) -> list[tuple[str, str]]:
        rows = session.run("roles/rights", tables=list(tables), rights=list(rights)) if tables else []
        return [(table, right) for table, right in rows]

    def guarded(self, session: Session) -> bool:
        return not session.run("capture/may_follow")[0][0]

    def change_script(self, tracked: Tracked) -> str:
        odd = next((name for name in tracked.shape.names if "$function$" in name or "$truncated$" in name), None)
        if odd is not None:
            raise ConfigError(f"column {odd!r} cannot be captured under this name", hint="rename it, or exclude it")
        return sqlfiles.fill(self.text("capture/table"), holes.change(tracked))

    def capture_script(self, tracked: Tracked, *, guarded: bool = False) -> str:
        texts = holes.Texts(self.text, tracked, guarded=guarded)
        return "\n".join(texts.script(self.stop_holes(tracked.change)))

    def triggers(self, tracked: Tracked) -> set[str]:
        table = tracked.table
        events = EVENTS if holes.is_plain(tracked) else [event for event in EVENTS if event != "key"]
        tables = [(table.schema, table.name), *table.branches]
        return {f"{event} {schema}.{name}" for event in events for schema, name in tables}

    def stop_holes(self, change: str) -> dict[str, str]:
        return {f"{name}_function": f"{name}_{change}" for name in (*EVENTS, "changed")}

    def known_name(self, change: str) -> str:
        return f"known_{change}"

    def change_name(self, readable: str) -> str:
        return readable

    def found(self, session: Session) -> dict[str, set[str]]:
        triggers: defaultdict[str, set[str]] = defaultdict(set)
        for schema, table, _, function, enabled in session.run("triggers"):
            event, _, change = function.partition("_")
            if enabled in "AO":
                triggers[change].add(f"{event} {schema}.{table}")
        return triggers

    def apart(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(column, sa.Text)

    def retype(self, column: str, declared: str) -> str:
        return f"cast({column} as {declared})"

    def follow_branches(self, session: Session, change: str) -> None:
        session.run("capture/branches", change_table=change)

    def change_table(self, change: str, columns: Sequence[str]) -> sa.TableClause:
        return selectable("cdc_sync", change, columns)

    def table(self, table: Table) -> sa.TableClause:
        return selectable(table.schema, table.name, table.names)

    def op(self, op: sa.ColumnElement[Any], changed: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:  # noqa: ARG002
        return sa.cast(op, sa.Text)

    def captured_at(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return column

    def unsealed(self, change: sa.FromClause, name: str, upto: int) -> sa.ColumnElement[bool]:  # noqa: ARG002
        return sa.true()

    def read_rows(self, session: Session, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Chunk]:
        """COPY's lines straight from libpq: psycopg's own loop costs 0.8 µs a row more, a quarter of the whole read."""
        connection = session.driver.pgconn
        self._begin_copy(connection, f"copy ({self.compile(query)}) to stdout")
        fetch, data, rows = connection.get_copy_data, bytearray(), 0
        length, line = fetch(1)
        while length >= 0:
            if length:
                data += line  # copied at once: keeping the lines makes the garbage collector look at each, 0.8 µs a row
                rows += 1
            else:
                self._await(connection)
            if len(data) >= CHUNK:
                yield Chunk(data=bytes(data), rows=rows)
                data, rows = bytearray(), 0
            length, line = fetch(1)
        self._end_copy(connection)
        if rows:
            yield Chunk(data=bytes(data), rows=rows)

    def _begin_copy(self, connection: psycopg.pq.abc.PGconn, statement: str) -> None:
        result = connection.exec_(statement.encode())
        if result.status != psycopg.pq.ExecStatus.COPY_OUT:
            raise self._translated(psycopg.errors.error_from_result(result))

    def _end_copy(self, connection: psycopg.pq.abc.PGconn) -> None:
        result = connection.get_result()
        if result is not None and result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise self._translated(psycopg.errors.error_from_result(result))
        while connection.get_result() is not None:
            pass

    def _await(self, connection: psycopg.pq.abc.PGconn) -> None:
        """Wait for more to read; a blocking fetch waits with the interpreter's lock held, and stops every thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection.socket, selectors.EVENT_READ)
            selector.select()
        connection.consume_input()

    def store_parts(self, snapshot: Session, number: int, parts: Iterable[bytes]) -> None:
        for i, data in enumerate(parts):
            snapshot.run("outbox_part_add", number=number, part=i, data=data)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        with self.begin(Mode.READ) as session:
            tables = [name for (name,) in session.run("capture/relations")]
        with self.begin(Mode.SNAPSHOT) as session:
            if tables:
                session.run("capture/hold", {"tables": ", ".join(tables)})
            yield session

    @contextmanager
    def sealing(self, snapshot: Session) -> Iterator[Session]:
        yield snapshot

    @contextmanager
    def muted(self, session: Session) -> Iterator[None]:
        session.run("mute")
        yield
        session.run("unmute")

    def newest(self, session: Session, change: str) -> int:  # noqa: ARG002
        return 0

    def clear_changes(self, session: Session, change: str, upto: int) -> None:  # noqa: ARG002
        session.run("change_clear", {"change": change})

    def tidy_changes(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        for change in changes:
            try:
                with self.begin(Mode.WRITE) as session:
                    session.run("change_tidy", {"change": change})
            except DatabaseError as error:
                if not error.temporary:
                    raise

    def create_staging(self, session: Session, name: str, columns: Sequence[tuple[str, str]]) -> sa.TableClause:
        typed = [(column, staging_rows.staged_type(declared)) for column, declared in columns]
        definitions = ", ".join(f"{sqlfiles.quote(column)} {declared}" for column, declared in typed)
        session.run("create_staging", {"name": name, "definitions": definitions})
        return sa.table(name, *(sa.column(column) for column, _ in columns))

    def keep(self, session: Session, name: str, query: sa.Select[*tuple[Any, ...]]) -> None:
        session.run("keep", {"name": name, "query": self.compile(query)})

    def spares(
        self, column: Column, value: sa.ColumnElement[Any], rows: sa.FromClause, n: sa.ColumnElement[Any]
    ) -> list[sa.ColumnElement[Any]]:
        if column.kind in (Kind.INTEGER, Kind.NUMERIC, Kind.FLOAT):
            finite: sa.ColumnElement[Any] = sa.literal_column("cast('Infinity' as float8)")
            highest, lowest = _ends(value, rows, sa.and_(value < finite, value > -finite))
            return [highest + n, lowest - n]
        if column.kind in (Kind.DATE, Kind.TIMESTAMP):
            day: sa.ColumnElement[Any] = sa.literal_column("interval '1 day'")
            highest, lowest = _ends(value, rows, sa.func.isfinite(value))
            return [highest + n * day, lowest - n * day]
        if column.kind is Kind.UUID:
            return [sa.func.gen_random_uuid()]
        text = sa.cast(n, sa.Text).concat(constant(uuid.uuid4().hex))
        if column.kind is Kind.TEXT:
            length = _LENGTH.search(column.declared)
            return [sa.func.left(text, int(length[1])) if length else text]
        return [sa.func.convert_to(text, constant("UTF8"))] if column.kind is Kind.BYTES else []

    def fill_staging(
        self, session: Session, staging: str, columns: Sequence[Staged], targets: Sequence[Target], part: PartRows
    ) -> None:
        if part.encoding == "copy":
            staging_rows.check_lines(part.data, columns, targets)
        lines = staging_rows.Lines(
            columns=columns,
            targets=targets,
            data=part.data if part.encoding == "copy" else staging_rows.as_copy(part.data, targets),
            encoding=session.driver.info.parameter_status("server_encoding") or "",
        )
        self._check_spelling(session, lines, staging_rows.foreign(columns, targets, part))
        conditions = lines.conditions
        where = " where " + " and ".join(kept for _, kept in conditions) if conditions else ""
        if self._copy(session, staging, lines, where) < lines.data.count(b"\n") and conditions:
            self._explain_rounding(session, lines)

    def _copy(self, session: Session, staging: str, lines: staging_rows.Lines, where: str) -> int:
        """Copy lines into a staging table; returns how many of them the condition let through."""
        names = sqlfiles.columns(column.name for column in lines.columns)
        statement = sqlfiles.fill(self.text("fill_staging"), {"name": staging, "columns": names, "where": where})
        try:
            with self.translated(), session.attempt(), session.driver.cursor() as cursor:
                with cursor.copy(statement) as copy:
                    copy.write(lines.data)
                return int(cursor.rowcount)
        except psycopg.Error as error:
            translated = self._translated(error)
            if not (isinstance(translated, DatabaseError) and translated.temporary):
                place = (error.diag.context or "").partition(staging)[2]
                found = staging_rows.refusal(error.sqlstate or "", place, lines)
                check([found.error, *self._unreadable(session, lines, found.column)] if found else [])
            raise translated from None

    def _unreadable(self, session: Session, lines: staging_rows.Lines, column: int | None) -> list[RefusedRow]:
        """Other rows of which the column is no more to be read; a server before 16 does not say."""
        if column is None:
            return []
        (texts,) = staging_rows.texts(lines.data, [column])
        target = lines.targets[column]
        try:
            with session.attempt():
                places = session.run("values/unreadable", texts=texts, type=target.declared)
        except DatabaseError:
            return []
        return staging_rows.unreadable((place for (place,) in places), target)

    def _explain_rounding(self, session: Session, lines: staging_rows.Lines) -> None:
        """Find a line that a condition kept out: the server counts them only."""
        declared = [(c.name, target.declared) for c, target in zip(lines.columns, lines.targets, strict=True)]
        odd = self.create_staging(session, "cdc_sync_odd", declared)
        for target, kept in lines.conditions:
            if self._copy(session, odd.name, lines, f" where not ({kept})"):
                firsts = session.query(sa.select(odd.c[declared[0][0]]))
                staging_rows.check_rounded(lines, {str(first) for (first,) in firsts}, target)

    def _check_spelling(self, session: Session, lines: staging_rows.Lines, foreign: Sequence[int]) -> None:
        texts = staging_rows.texts(lines.data, foreign) if foreign else []
        for target, column in zip((lines.targets[i] for i in foreign), texts, strict=True):
            try:
                with session.attempt():
                    found = session.run("values/respelled", {"type": target.declared}, texts=column)
            except DatabaseError:
                return  # the copy itself will say which row it is
            staging_rows.check_respelled((place for (place,) in found), target)

    def dangling(self, session: Session, tables: Sequence[Table]) -> set[tuple[Any, ...]]:  # noqa: ARG002
        return set(session.run("dangling"))

    def move_past(self, session: Session, table: Table, column: str, highest: int) -> bool:
        place = {"table_name": sqlfiles.quote(table.schema, table.name), "column_name": column}
        return all(allowed for allowed, _ in session.run("keys/move_past", **place, highest=highest))

    def identity(self, session: Session) -> str:
        return str(session.run("identity")[0][0])

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """An advisory lock on a connection of its own: the device key's file lock does not reach other machines."""
        with self._connected() as connection:
            session = Session(self, connection.execution_options(isolation_level="AUTOCOMMIT"))
            if not session.run("lock_node")[0][0]:
                raise CdcSyncError("another cdc-sync is at work on this node", hint="wait for it to end, or stop it")
            yield


def _ends(
    value: sa.ColumnElement[Any], rows: sa.FromClause, usable: sa.ColumnElement[bool]
) -> list[sa.ColumnElement[Any]]:
    """The highest and the lowest usable value there is."""
    ends = (sa.func.max(value), sa.func.min(value))
    return [sa.select(end).select_from(rows).where(usable).scalar_subquery() for end in ends]


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _grouped(rows: list[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    groups: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        groups[row[0]].append(row)
    return groups


def _column(row: tuple[Any, ...]) -> Column:
    _, _, _, name, type_name, declared, required, generated, supplied, always, *_ = row
    return Column(
        name=name,
        kind=_KINDS.get(type_name, Kind.OTHER),
        declared=declared,
        nullable=not required,
        generated=generated,
        supplied=supplied,
        always=always,
    )


def _uniques(rows: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[str, ...], bool]]:
    for _, members in groupby(rows, key=lambda row: row[1]):
        key = list(members)
        yield tuple(row[3] for row in key), key[0][2]


def _references(rows: list[tuple[Any, ...]], known: dict[tuple[str, str], str]) -> Iterator[Reference]:
    for _, members in groupby(rows, key=lambda row: row[1]):
        key = list(members)
        _, _, _, schema, table, _, visible = key[0]
        fallback = table if visible else f"{schema}.{table}"
        yield Reference(
            columns=tuple(row[2] for row in key),
            table=known.get((schema, table), fallback),
            target=tuple(row[5] for row in key),
        )
