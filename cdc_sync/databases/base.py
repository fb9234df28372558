"""What all databases share: connections, transactions, and statements from the ``.sql`` files.

A database's own module says the rest. Rooms talk to ``Database`` and ``Session`` and to nothing below them.
"""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from cdc_sync.core.change import Column, Kind, Shape, Table
from cdc_sync.core.layout import Staged
from cdc_sync.core.plan import SyncedTable
from cdc_sync.core.wire import Encoding, PartRows
from cdc_sync.databases import rendered, sqlfiles
from cdc_sync.databases.session import Session as Session
from cdc_sync.databases.thrifty import Thrifty
from cdc_sync.errors import CdcSyncError, DatabaseError, Unreachable

PATIENCE = 30.0
"""Seconds for which a table that is in use is asked for again and again."""

RETRY = 0.2
"""Seconds of rest before it is asked for again: others get their turn."""

Result = TypeVar("Result")


class Mode(StrEnum):
    """What a transaction is for."""

    READ = "read"
    WRITE = "write"
    SNAPSHOT = "snapshot"
    """Reads all see one moment; writes are allowed where they cannot collide with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some encoded rows on their way into a part."""

    data: bytes
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A table that is captured, or is to be: its shape, its watched columns, and the name of its change table.

    A view is captured at its table: ``base`` is that one's, with the same change table.
    """

    table: Table
    shape: Shape
    settings: SyncedTable
    watched: tuple[str, ...]
    change: str
    base: "Tracked | None" = None

    @property
    def stored(self) -> "Tracked":
        """The table at which it is captured: itself, or a view's base."""
        return self.base or self

    @property
    def quoted(self) -> str:
        return sqlfiles.quote(self.table.stored.schema, self.table.stored.name)

    @property
    def noted(self) -> tuple[str, ...]:
        """The columns of the change table by which a note names a row; those that tell the table's rows apart first."""
        if self.table.view is None or self.base is None:
            return self.shape.identity
        plain = dict(self.table.view.plain)
        return tuple(dict.fromkeys((*self.base.shape.identity, *(plain[column] for column in self.shape.identity))))

    @property
    def old(self) -> tuple[str, ...]:
        """The change table's columns that keep the watched ones' values from before a change."""
        return tuple(f"cdc_sync_old_{i}" for i in range(len(self.watched)))

    @property
    def declared(self) -> list[tuple[str, str]]:
        return [(column.name, column.declared) for column in self.table.columns if column.name in self.shape.names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a staged column goes: the table and column that it is typed like, for messages and conversions.

    ``absent``: there is no such column; whatever comes is staged as text, or as it is.
    """

    table: str
    column: str
    declared: str
    kind: Kind
    absent: bool = False


class Database(Thrifty):
    """A database that takes part. Instances are context managers; leaving one closes every connection."""

    kind: ClassVar[str]
    """Its name in ``sql/`` and in messages."""

    stages_ahead: ClassVar[bool]
    """Whether a batch can be staged for as long as its origin reads it without keeping other writers out."""

    def __init__(self, url: sa.URL, engine: sa.Engine) -> None:
        self.url = url
        self.engine = engine
        super().__init__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.engine.dispose()

    def __str__(self) -> str:
        """The URL without its password, and without query parameters that may hold one."""
        shown = {name: value for name, value in self.url.query.items() if name in ("host", "port", "service")}
        return self.url.set(query=shown).render_as_string(hide_password=True)

    @contextmanager
    def begin(self, mode: Mode) -> Iterator[Session]:
        """A transaction: commits at the end of the block (one to read just ends), rolls back on any exception."""
        with self._connected() as connection:
            connection = connection.execution_options(**self.options(mode))
            with self.translated():
                transaction = connection.begin()
            try:
                yield Session(self, connection)
            except BaseException:
                with suppress(DBAPIError):  # a connection that is gone has rolled back already
                    transaction.rollback()
                raise
            with self.translated():
                if mode is Mode.READ and not self.commits_reads:
                    transaction.rollback()
                else:
                    transaction.commit()

    def patiently(self, work: Callable[[Session], Result]) -> Result:
        """A write transaction that locks tables: where one is in use, all of it is done again a little later."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with self.begin(Mode.WRITE) as session:
                    return work(session)
            except DatabaseError as error:
                if error.code not in self.in_use or time.monotonic() > until:
                    raise
            time.sleep(RETRY)

    commits_reads: ClassVar[bool] = False
    """Whether a transaction that only read is committed, because the driver forgets what it has prepared otherwise."""

    many_writers: ClassVar[bool] = False
    """Whether several transactions may write at the same time."""

    contended: ClassVar[tuple[str, ...]] = ()
    """Codes of errors that say that another transaction was in the way, and that the same work may succeed now."""

    in_use: ClassVar[tuple[str, ...]] = ()
    """Codes of errors that say that a table is in use."""

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """The transaction that a seal reads in: every captured table stays as it is while it goes on."""
        with self.begin(Mode.SNAPSHOT) as session:
            yield session

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            connection = self.engine.connect()
        except DBAPIError as error:
            raise self.unreachable(error) from None
        with connection:
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the driver raises into an error of ours, without row values or secrets in it."""
        try:
            yield
        except DBAPIError as error:
            raise self.translate(error) from None

    def unreachable(self, error: DBAPIError) -> CdcSyncError:
        return Unreachable(f"cannot connect to {self}: {self.reason(error)}", hint=self.connection_hint)

    connection_hint: ClassVar[str] = "check the URL, and that the server is running and lets you in"

    def add_unique(self, table: str, columns: Sequence[str]) -> str:
        """What to type for a unique key, as a hint."""
        return f"create unique index on {sqlfiles.path(table)} ({sqlfiles.columns(columns)})"

    @abstractmethod
    def set_not_null(self, table: str, column: str) -> str:
        """What to type so that a column may not be null, as a hint."""

    @abstractmethod
    def hand_out_numbers(self, table: str, column: str) -> str:
        """What to type so that a primary key hands out numbers of its own, as a hint."""

    def text(self, name: str) -> str:
        return sqlfiles.read(self.kind, name)

    def compile(self, statement: sa.ClauseElement) -> str:
        """A generated statement as text; constants stand in it literally (they are ours, never a row's)."""
        return rendered.text(statement, self.rendering)

    @property
    @abstractmethod
    def rendering(self) -> sa.Dialect:
        """The dialect that statements are rendered in, without bind parameters."""

    @abstractmethod
    def options(self, mode: Mode) -> dict[str, Any]:
        """Execution options that make a transaction of this mode."""

    @abstractmethod
    def statements(self, text: str) -> Iterable[str]:
        """A script's statements, as the driver takes them."""

    @abstractmethod
    def translate(self, error: DBAPIError) -> CdcSyncError:
        """The driver's error as ours."""

    @abstractmethod
    def reason(self, error: DBAPIError) -> str:
        """Why a connection failed, without anything secret."""

    @abstractmethod
    def describe(self, session: Session, names: Sequence[str]) -> dict[str, Table]:
        """The tables of these names that exist, as the database describes them."""

    def check_bystanders(self, session: Session) -> None:
        """Raise ConfigError where tables of ours would break something else that the database does."""

    def install_script(self, session: Session) -> str:  # noqa: ARG002
        """What installs everything of ours that does not belong to one captured table."""
        return self.text("install")

    @abstractmethod
    def change_script(self, tracked: Tracked) -> str:
        """What makes the change table of a table."""

    @abstractmethod
    def capture_script(self, tracked: Tracked, *, guarded: bool = False) -> str:
        """What starts the capture of a table that nothing captures; ``guarded`` as said there."""

    def guarded(self, session: Session) -> bool:  # noqa: ARG002
        """Whether capture must bear it that a column goes, because nothing can follow the change at once."""
        return False

    @abstractmethod
    def triggers(self, tracked: Tracked) -> set[str]:
        """The triggers that a captured table has, as ``found`` names them."""

    @abstractmethod
    def change_name(self, readable: str) -> str:
        """The change table's name for a name that is unique among this node's change tables."""

    @abstractmethod
    def stop_holes(self, change: str) -> dict[str, str]:
        """What ``capture_stop.sql`` needs for a change table: the names of its triggers or functions."""

    @abstractmethod
    def known_name(self, change: str) -> str:
        """The name of the table of known rows that belongs to a change table."""

    @abstractmethod
    def found(self, session: Session) -> dict[str, set[str]]:
        """Our triggers that are there and enabled, by change table."""

    def blind(self, session: Session, tracked: Tracked, change: str) -> bool:  # noqa: ARG002
        """Whether rows can have gone that a table's present triggers do not see, because its indexes are others now."""
        return False

    def whole(self, query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
        """A query that is to be worked out before it is joined, where the planner would do badly otherwise."""
        return query

    def apart(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """A staged column as values that Python can tell apart, whatever its type."""
        return column

    @abstractmethod
    def retype(self, column: str, declared: str) -> str:
        """A column of a former change table, as a value of the type that the table's column has now."""

    def follow_branches(self, session: Session, change: str) -> None:
        """Before a table is captured anew: capture what came and went with its partitions, where there are such."""

    def advance_known(self, session: Session, change: str, holes: Mapping[str, str], upto: int) -> None:
        """Take changes up to this seq into the table of known rows, where it is kept beside capture."""

    def health(self, session: Session, **limits: object) -> list[tuple[Any, ...]]:
        """What may need a hand: whether it does, what it is, what to type. ``limits`` are those of ``health.sql``."""
        return session.run("health", **limits)

    def lacking(
        self,
        session: Session,  # noqa: ARG002
        tables: Sequence[str],  # noqa: ARG002
        rights: Sequence[str],  # noqa: ARG002
    ) -> list[tuple[str, str]]:
        """Tables (quoted) and the rights on them that this login lacks; nothing where there are no rights."""
        return []

    keeps_known: ClassVar[bool]
    """Whether the table of known rows is kept beside capture, so that an unannounced gap can be closed exactly."""

    @abstractmethod
    def change_table(self, change: str, columns: Sequence[str]) -> sa.TableClause:
        """A change table, to select from."""

    @abstractmethod
    def table(self, table: Table) -> sa.TableClause:
        """A table of the application's, to select from and write to."""

    @abstractmethod
    def op(self, op: sa.ColumnElement[Any], changed: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        """A change's operation: I, U, D, or K for an update that ``changed`` a watched column."""

    @abstractmethod
    def captured_at(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """A change's time of capture as ISO 8601 text in UTC."""

    @abstractmethod
    def unsealed(self, change: sa.FromClause, name: str) -> sa.ColumnElement[bool]:
        """The condition for changes that are not sealed; ``name`` is the change table's. A seal takes what it sees."""

    @abstractmethod
    def read_rows(self, session: Session, query: sa.Select[*tuple[Any, ...]]) -> Iterator[Chunk]:
        """The query's rows, encoded in this database's own way, in chunks of some 2 MiB."""

    encoding: ClassVar[Encoding]

    @abstractmethod
    def store_parts(self, snapshot: Session, number: int, parts: Iterable[bytes]) -> None:
        """Put the parts of the batch that is being sealed into the outbox; they count once its header is there."""

    @abstractmethod
    def sealing(self, snapshot: Session) -> AbstractContextManager[Session]:
        """The transaction in which the batch is sealed, after everything was read in the snapshot's."""

    @abstractmethod
    def clear_changes(self, session: Session, change: str, upto: int) -> None:
        """Within the seal's transaction: these changes are sealed."""

    @abstractmethod
    def tidy_changes(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """After the seal: give the space of sealed changes back without making a writer wait.

        ``changes`` maps change tables to what their statements need (``known.holes``).
        """

    @abstractmethod
    def muted(self, session: Session) -> AbstractContextManager[None]:
        """Within the block, which ends with the transaction, nothing that the session writes is captured."""

    @abstractmethod
    def resting(self, session: Session, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Within the block, triggers of the application on these tables do not fire for what the session writes.

        Foreign keys are checked, and do what they do, all the same. However the transaction ends, no trigger is lost.
        """

    @abstractmethod
    def newest(self, session: Session, change: str) -> int:
        """How far a seal reads in a change table: the newest seq, where the snapshot alone does not say it."""

    @abstractmethod
    def create_staging(
        self, session: Session, name: str, columns: Sequence[tuple[str, str]], *, lasting: bool = False
    ) -> sa.TableClause:
        """An empty staging table that lives as long as the transaction; columns are (name, declared type).

        ``lasting``: the next transaction will want another one, so that an empty one may stay, under a name of its own.
        """

    @abstractmethod
    def keep(self, session: Session, name: str, query: sa.Select[*tuple[Any, ...]]) -> None:
        """Keep a query's rows in a temporary table that lives as long as the transaction."""

    @abstractmethod
    def spares(
        self, column: Column, value: sa.ColumnElement[Any], rows: sa.FromClause, n: sa.ColumnElement[Any]
    ) -> list[sa.ColumnElement[Any]]:
        """Expressions for the n-th of many values that no row has in the column, likely ones first.

        ``value`` is the column in ``rows``, which are all rows of the table. Empty for a type without such values.
        """

    @abstractmethod
    def fill_staging(
        self, session: Session, staging: str, columns: Sequence[Staged], targets: Sequence[Target], part: PartRows
    ) -> None:
        """Load a part's rows into a staging table.

        Raises RefusedRow for a value that the column which it goes to would not hold as it is; what was staged of the
        part until then is for the caller to undo.
        """

    @abstractmethod
    def dangling(self, session: Session, tables: Sequence[Table]) -> set[tuple[Any, ...]]:
        """Rows of these tables, and of those that refer to them, whose foreign keys lead nowhere.

        Raises DatabaseError where the database itself finds what a deferred constraint forbids.
        """

    def move_past(self, session: Session, table: Table, column: str, highest: int) -> bool:  # noqa: ARG002
        """Have the numbers that are handed out for a column go on after this one. False where the login may not."""
        return True

    @abstractmethod
    def identity(self, session: Session) -> str:
        """What tells this database from every other one, whatever address it is reached by."""

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only replicator of the node while the block runs; raises CdcSyncError where another one is."""
        yield


def constant(value: str | int) -> sa.ColumnElement[Any]:
    """A constant of ours in a generated statement; never a row's value."""
    return sa.literal_column(sqlfiles.literal(value) if isinstance(value, str) else str(value))


def selectable(schema: str | None, name: str, columns: Sequence[str]) -> sa.TableClause:
    """A table to select from and write to, every name quoted whatever it looks like."""
    quoted: list[sa.ColumnClause[Any]] = [sa.column(sa.quoted_name(column, quote=True)) for column in columns]
    return sa.table(
        sa.quoted_name(name, quote=True), *quoted, schema=sa.quoted_name(schema, quote=True) if schema else None
    )
