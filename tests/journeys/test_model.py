"""Batches of several origins, sealed, delivered and applied in any order, against a model of plain dictionaries."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cdc_sync import apply, databases, identity, receive, seal
from cdc_sync.config import Config
from cdc_sync.core.conflicts import Policies, Policy
from cdc_sync.core.wire import Sealed
from cdc_sync.databases import Database
from tests.conftest import Make
from tests.nodes import Side, install, letters, write_config

ORIGINS = ("one", "two", "three", "four")
CODES = ("a", "b", "c")
SCHEMA = "create table subject (id {pk}, code text not null unique, note text);"
POLICIES = ("source_wins", "target_wins", "newest_wins")


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Row:
    """A row at its origin. ``before`` is its code when the last batch was sealed, None for one that is newer."""

    code: str
    note: str
    at: str
    before: str | None = None
    touched: bool = True
    renamed: bool = False


@dataclass(frozen=True)
class Change:
    """What a batch comes to for one row: the code before it, and the row after it."""

    op: str
    before: str | None
    after: tuple[str, str] | None
    at: str


@dataclass
class Origin:
    """A laptop, and what it should hold and have sealed."""

    side: Side
    config: Config
    database: Database
    rows: dict[int, Row] = field(default_factory=dict)
    gone: list[Change] = field(default_factory=list)
    batches: list[list[Change]] = field(default_factory=list)
    stored: int = 0
    applied: int = 0


@dataclass
class Stands:
    """A row at the server, and its version."""

    note: str
    origin: str
    at: str


class Server:
    """What the policies say that the server must hold."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.rows: dict[str, Stands] = {}
        self.graves: dict[str, tuple[str, str]] = {}

    def apply(self, origin: str, batch: list[Change]) -> None:
        winning = [change for change in batch if self._wins(origin, change)]
        for change in winning:
            if change.op in ("D", "K") and change.before in self.rows:
                del self.rows[change.before]
            if change.op == "D" and change.at >= self.graves.get(change.before or "", ("", ""))[1]:
                self.graves[change.before or ""] = (origin, change.at)
        for change in winning:
            if change.after is not None:
                self.rows[change.after[0]] = Stands(change.after[1], origin, change.at)

    def _wins(self, origin: str, change: Change) -> bool:
        code = change.before if change.op in ("D", "K") else change.after[0] if change.after else ""
        met = self.rows.get(code or "")
        if met is None:
            return change.op == "D" or self._outlives(origin, code or "", change)
        if met.origin == origin or self.policy == "source_wins":
            return True
        return self.policy == "newest_wins" and (change.at, origin) > (met.at, met.origin)

    def _outlives(self, origin: str, code: str, change: Change) -> bool:
        """Whether what is said of a row that is not there brings it back."""
        grave = self.graves.get(code, (origin, ""))
        if self.policy == "newest_wins" and grave[0] != origin:
            return grave[1] <= change.at
        return self.policy != "target_wins" or change.op == "I"


class Flat(RuleBasedStateMachine):
    """One table, no foreign keys; every conflict there is."""

    fresh = itertools.count()

    def __init__(self, server: Side, folder: Path, make: Any) -> None:
        super().__init__()
        self.server, self.folder, self.make = server, folder, make
        self.clock = 0

    @initialize(policy=st.sampled_from(POLICIES), count=st.integers(2, 4))
    def begin(self, policy: str, count: int) -> None:
        self.server.clear()
        self.server.script(SCHEMA)
        self.policies = Policies(default=Policy(conflict=policy))
        self.model = Server(policy)
        self.target = databases.connect(self.server.url)
        receive.prepare(self.target)
        self.origins = {name: self._origin(name) for name in ORIGINS[:count]}

    def _origin(self, name: str) -> Origin:
        side = self.make("sqlite", f"{name}{next(self.fresh)}")
        side.script(SCHEMA)
        config = write_config(self.folder, f"{name}{next(self.fresh)}", side, self.server, {"subject": ["code"]})
        config = _named(config, name)
        install(config)
        return Origin(side, config, databases.connect(side.url))

    # --- what laptops do

    @rule(name=st.sampled_from(ORIGINS), code=st.sampled_from(CODES), back=st.sampled_from([0, 0, 0, 30]))
    def insert(self, name: str, code: str, back: int) -> None:
        origin = self.origins.get(name)
        if origin is None or any(row.code == code for row in origin.rows.values()):
            return
        note, at = self._note(), self._at(back)
        (uid,) = origin.side.rows("insert into subject (code, note) values (?, ?) returning id", (code, note))[0]
        if uid in origin.rows:
            raise AssertionError("an id was used twice")
        self._captured(origin, at)
        origin.rows[uid] = Row(code, note, at)

    @rule(name=st.sampled_from(ORIGINS), which=st.integers(0, 2), back=st.sampled_from([0, 0, 0, 30]))
    def update(self, name: str, which: int, back: int) -> None:
        for origin, uid, row in self._chosen(name, which):
            row.note, row.at, row.touched = self._note(), self._at(back), True
            origin.side.run("update subject set note = ? where id = ?", (row.note, uid))
            self._captured(origin, row.at)

    @rule(name=st.sampled_from(ORIGINS), which=st.integers(0, 2), back=st.sampled_from([0, 0, 0, 30]))
    def rename(self, name: str, which: int, back: int) -> None:
        for origin, uid, row in self._chosen(name, which):
            row.code, row.at, row.touched, row.renamed = f"new {next(self.fresh)}", self._at(back), True, True
            origin.side.run("update subject set code = ? where id = ?", (row.code, uid))
            self._captured(origin, row.at)

    @rule(name=st.sampled_from(ORIGINS), which=st.integers(0, 2), back=st.sampled_from([0, 0, 0, 30]))
    def delete(self, name: str, which: int, back: int) -> None:
        for origin, uid, row in self._chosen(name, which):
            at = self._at(back)
            origin.side.run("delete from subject where id = ?", (uid,))
            self._captured(origin, at)
            if row.before is not None:
                origin.gone.append(Change("D", row.before, None, at))
            del origin.rows[uid]

    @rule(name=st.sampled_from(ORIGINS))
    def seal(self, name: str) -> None:
        origin = self.origins.get(name)
        if origin is None:
            return
        key = identity.load(origin.config.key_path)
        if seal.seal(origin.database, key, "2026-01-01T00:00:00+00:00") is None:
            return
        changes = origin.gone + [_change(row) for row in origin.rows.values() if row.touched]
        origin.batches.append(changes)
        origin.gone = []
        for row in origin.rows.values():
            row.before, row.touched, row.renamed = row.code, False, False

    # --- what becomes of their batches

    @rule(name=st.sampled_from(ORIGINS), number=st.integers(1, 6))
    def deliver(self, name: str, number: int) -> None:
        """Any batch at any time: one that came before does no harm, one that comes too early has to come again."""
        origin = self.origins.get(name)
        if origin is not None and number <= len(origin.batches):
            receive.store(self.target, *_batch(origin, number))
            origin.stored = max(origin.stored, number if number == origin.stored + 1 else 0)

    @rule(name=st.sampled_from(ORIGINS), dies=st.one_of(st.none(), st.integers(0, 60)))
    def apply_next(self, name: str, dies: int | None) -> None:
        origin = self.origins.get(name)
        if origin is None:
            return
        with _dying(self.target, dies):
            done = apply.apply_next(self.target, name, _epoch(origin), self.policies)
            assert (done is not None) == (origin.applied < origin.stored)
        here = receive.position(self.target, name, _epoch(origin))
        if here.applied > origin.applied:
            self.model.apply(name, origin.batches[origin.applied])
            origin.applied += 1
        assert (here.stored, here.applied) == (origin.stored, origin.applied)

    @precondition(lambda self: hasattr(self, "target"))
    @invariant()
    def the_server_is_as_the_model_says(self) -> None:
        held = dict(self.server.rows("select code, note from subject"))
        assert held == {code: stands.note for code, stands in self.model.rows.items()}

    def teardown(self) -> None:
        if not hasattr(self, "target"):
            return
        for name, origin in self.origins.items():
            self.seal(name)
            for number in range(origin.stored + 1, len(origin.batches) + 1):
                self.deliver(name, number)
            while origin.applied < len(origin.batches):
                self.apply_next(name, None)
        self.the_server_is_as_the_model_says()
        assert letters(self.server) == []
        self.target.close()
        for origin in self.origins.values():
            origin.database.close()
            origin.side.close()

    # --- helpers

    def _chosen(self, name: str, which: int) -> Iterator[tuple[Origin, int, Row]]:
        origin = self.origins.get(name)
        if origin is not None and origin.rows:
            uid = sorted(origin.rows)[which % len(origin.rows)]
            yield origin, uid, origin.rows[uid]

    def _note(self) -> str:
        return f"note {next(self.fresh)}"

    def _at(self, back: int) -> str:
        """Time goes on, but for a clock that is set back now and then."""
        self.clock += 10
        seconds = max(0, self.clock - back)
        return f"2026-01-01 {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.000+00"

    def _captured(self, origin: Origin, at: str) -> None:
        (change,) = origin.side.rows("select change_table from cdc_sync_captured where table_name = 'subject'")[0]
        moment = f"julianday('{at.removesuffix('+00')}')"
        newest = f"(select max(cdc_sync_seq) from {change})"
        origin.side.run(f"update {change} set cdc_sync_captured_at = {moment} where cdc_sync_seq = {newest}")


def _named(config: Config, name: str) -> Config:
    """The same file under the node's name."""
    path = config.path
    path.write_text(path.read_text().replace(f'name = "{config.node.name}"', f'name = "{name}"', 1))
    from cdc_sync import config as configuration

    return configuration.load(path)


def _change(row: Row) -> Change:
    op = "I" if row.before is None else "K" if row.renamed else "U"
    return Change(op, row.before, (row.code, row.note), row.at)


def _epoch(origin: Origin) -> str:
    return str(origin.side.rows("select epoch from cdc_sync_node")[0][0])


def _batch(origin: Origin, number: int) -> tuple[Sealed, list[bytes]]:
    key = identity.load(origin.config.key_path).public_key().public_bytes_raw()
    query = "select header, signature from cdc_sync_outbox where number = ?"
    header, signature = origin.side.rows(query, (number,))[0]
    parts = origin.side.rows("select data from cdc_sync_outbox_part where number = ? order by part", (number,))
    return Sealed(header=header, signature=signature, public_key=key), [data for (data,) in parts]


def batch_of(config: Config, side: Side, server: Database) -> None:
    """Seal what waits at a node, and store it at a server."""
    with databases.connect(side.url) as database:
        sealed = seal.seal(database, identity.load(config.key_path), "2026-01-01T00:00:00+00:00")
    assert sealed is not None
    receive.store(server, *_batch(Origin(side, config, database), sealed[0].number))


def play(machine: Callable[[], RuleBasedStateMachine], *, steps: int) -> None:
    """Play a third of the profile's number of programs: these are long."""
    count = settings.default.max_examples // 4
    run_state_machine_as_test(machine, settings=settings(max_examples=count, stateful_step_count=steps))


@contextmanager
def _dying(database: Database, after: int | None) -> Iterator[None]:
    """Whoever works on the database dies after so many statements."""
    count = itertools.count()

    def die(*_: object) -> None:
        if after is not None and next(count) >= after:
            raise Killed

    sa.event.listen(database.engine, "before_cursor_execute", die)
    try:
        yield
    except Killed:
        pass
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", die)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_the_order_of_batches_the_server_is_what_the_policies_define(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    server = make_side(kind, "server")
    play(lambda: Flat(server, tmp_path, make_side), steps=40)
