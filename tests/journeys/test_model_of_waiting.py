"""Children whose parents come later, by another road, amid deaths, against a model of plain dictionaries."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from cdc_sync import apply, databases, identity, receive, seal
from cdc_sync.core.conflicts import Policies
from tests.conftest import Make
from tests.journeys.test_model import Origin, _batch, _dying, _epoch, _named, play
from tests.nodes import Side, install, letters, write_config

SUBJECTS = ("a", "b", "c")
LAPTOPS = ("one", "two", "three")
SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null, note text,
    unique (subject_id, number));
"""
Visit = tuple[str, int, str]
"""Subject, number and note."""


@dataclass
class Laptop:
    """What a laptop holds, what each of its batches says it holds, and what the server shows of it."""

    origin: Origin
    visits: dict[int, Visit] = field(default_factory=dict)
    sealed: list[dict[int, Visit]] = field(default_factory=list)
    shown: dict[int, Visit] = field(default_factory=dict)
    wanted: dict[int, Visit] = field(default_factory=dict)


class Waiting(RuleBasedStateMachine):
    """Every laptop has all subjects from before it was captured; only the centre sends them, one by one."""

    fresh = itertools.count()

    def __init__(self, server: Side, folder: Path, make: Any) -> None:
        super().__init__()
        self.server, self.folder, self.make = server, folder, make

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        self.server.clear()
        self.server.script(SCHEMA)
        self.target = databases.connect(self.server.url)
        receive.prepare(self.target)
        self.arrived: set[str] = set()
        self.laptops = {name: Laptop(self._origin(name, before=SUBJECTS)) for name in LAPTOPS[:count]}
        self.centre = self._origin("centre", before=())

    def _origin(self, name: str, before: tuple[str, ...]) -> Origin:
        side = self.make("sqlite", f"{name}{next(self.fresh)}")
        side.script(SCHEMA)
        for i, code in enumerate(before):
            side.run("insert into subject (id, code) values (?, ?)", (i, code))
        tables = {"subject": ["code"], "visit": ["subject_id", "number"]}
        config = _named(write_config(self.folder, f"{name}{next(self.fresh)}", side, self.server, tables), name)
        install(config)
        return Origin(side, config, databases.connect(side.url))

    # --- what laptops do

    @rule(name=st.sampled_from(LAPTOPS), subject=st.sampled_from(SUBJECTS))
    def insert(self, name: str, subject: str) -> None:
        if laptop := self.laptops.get(name):
            visit = (subject, next(self.fresh), f"note {next(self.fresh)}")
            query = "insert into visit (subject_id, number, note) values (?, ?, ?) returning id"
            ((uid,),) = laptop.origin.side.rows(query, (SUBJECTS.index(subject), *visit[1:]))
            laptop.visits[uid] = visit

    @rule(name=st.sampled_from(LAPTOPS), which=st.integers(0, 3))
    def update(self, name: str, which: int) -> None:
        for laptop, uid in self._chosen(name, which):
            subject, number, _ = laptop.visits[uid]
            laptop.visits[uid] = (subject, number, f"note {next(self.fresh)}")
            laptop.origin.side.run("update visit set note = ? where id = ?", (laptop.visits[uid][2], uid))

    @rule(name=st.sampled_from(LAPTOPS), which=st.integers(0, 3), subject=st.sampled_from(SUBJECTS))
    def move(self, name: str, which: int, subject: str) -> None:
        for laptop, uid in self._chosen(name, which):
            laptop.visits[uid] = (subject, *laptop.visits[uid][1:])
            laptop.origin.side.run("update visit set subject_id = ? where id = ?", (SUBJECTS.index(subject), uid))

    @rule(name=st.sampled_from(LAPTOPS), which=st.integers(0, 3))
    def delete(self, name: str, which: int) -> None:
        for laptop, uid in self._chosen(name, which):
            laptop.origin.side.run("delete from visit where id = ?", (uid,))
            del laptop.visits[uid]

    @rule(name=st.sampled_from(LAPTOPS))
    def send(self, name: str) -> None:
        """Seal and store; sometimes there is nothing."""
        if (laptop := self.laptops.get(name)) and self._store(laptop.origin):
            laptop.sealed.append(dict(laptop.visits))

    @rule(subject=st.sampled_from(SUBJECTS), note=st.booleans())
    def send_subject(self, subject: str, note: bool) -> None:
        if subject in self.arrived:
            self.centre.side.run("update subject set note = ? where code = ?", (f"note {note}", subject))
        else:
            self.centre.side.run("insert into subject (code) values (?)", (subject,))
        if self._store(self.centre):
            while self._apply(self.centre, None):
                pass
            self.arrived.add(subject)
            self._settle()

    @rule(name=st.sampled_from(LAPTOPS), dies=st.one_of(st.none(), st.none(), st.integers(0, 80)))
    def apply_next(self, name: str, dies: int | None) -> None:
        laptop = self.laptops.get(name)
        if laptop is None:
            return
        before = laptop.origin.applied
        self._apply(laptop.origin, dies)
        if laptop.origin.applied > before:
            laptop.wanted = laptop.sealed[before]
        self._settle()

    def _store(self, origin: Origin) -> bool:
        sealed = seal.seal(origin.database, identity.load(origin.config.key_path), "2026-01-01T00:00:00+00:00")
        if sealed is None:
            return False
        receive.store(self.target, *_batch(origin, sealed[0].number))
        return True

    def _apply(self, origin: Origin, dies: int | None) -> bool:
        done = None
        with _dying(self.target, dies):
            done = apply.apply_next(self.target, origin.config.node.name, _epoch(origin), Policies())
        with _dying(self.target, dies):
            apply.revive(self.target, Policies())
        origin.applied = receive.position(self.target, origin.config.node.name, _epoch(origin)).applied
        return done is not None

    def _settle(self) -> None:
        """What the server shows once everything that can be applied is."""
        apply.revive(self.target, Policies())
        for laptop in self.laptops.values():
            laptop.shown = {uid: visit for uid, visit in laptop.shown.items() if uid in laptop.wanted}
            laptop.shown |= {uid: visit for uid, visit in laptop.wanted.items() if visit[0] in self.arrived}

    @precondition(lambda self: hasattr(self, "target"))
    @invariant()
    def the_server_shows_what_can_be_shown(self) -> None:
        query = "select s.code, v.number, v.note from visit v join subject s on s.id = v.subject_id"
        shown = sorted(visit for laptop in self.laptops.values() for visit in laptop.shown.values())
        assert sorted(self.server.rows(query)) == shown

    def teardown(self) -> None:
        if not hasattr(self, "target"):
            return
        for name, laptop in self.laptops.items():
            self.send(name)
            while laptop.origin.applied < len(laptop.sealed):
                self.apply_next(name, None)
        for subject in SUBJECTS:
            self.send_subject(subject, note=True)
        self.the_server_shows_what_can_be_shown()
        assert letters(self.server) == []
        self.target.close()
        for origin in (self.centre, *(laptop.origin for laptop in self.laptops.values())):
            origin.database.close()
            origin.side.close()

    def _chosen(self, name: str, which: int) -> list[tuple[Laptop, int]]:
        laptop = self.laptops.get(name)
        if laptop is None or not laptop.visits:
            return []
        return [(laptop, sorted(laptop.visits)[which % len(laptop.visits)])]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_children_wait_for_their_parents_and_nothing_waits_in_the_end(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    server = make_side(kind, "server")
    play(lambda: Waiting(server, tmp_path, make_side), steps=30)
