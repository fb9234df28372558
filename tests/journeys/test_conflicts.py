"""Changes that meet somebody else's row: found, named as PostgreSQL 18 names them, and decided by policy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cdc_sync import apply, databases
from cdc_sync.config import Config
from cdc_sync.core.conflicts import Policies, Policy
from cdc_sync.databases import Mode
from tests.conftest import PAIRS, Make
from tests.nodes import Side, install, letters, replicate, write_config

SUBJECT = """
create table subject (id {pk}, code varchar(20) not null unique, note text, age integer);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    unique (subject_id, number));
"""
POLICIES = ("source_wins", "target_wins", "newest_wins", "manual")


class Conflict(NamedTuple):
    """What was written down of a conflict."""

    kind: str
    origin: str
    met: str
    outcome: str


class Field:
    """Two laptops and a server, all with the same tables; the laptops share a policy for subjects."""

    def __init__(self, make_side: Make, folder: Path, kinds: Sequence[str], policy: str, **more: str) -> None:
        self.server = make_side(kinds[1], "server")
        self.laptops: dict[str, Side] = {}
        self.configs: dict[str, Config] = {}
        for name in ("one", "two"):
            self.laptops[name] = make_side(kinds[0], name)
            subject = {"key": ["code"], "conflict": policy, **more}
            tables = {"subject": subject, "visit": ["subject_id", "number"]}
            self.configs[name] = write_config(folder, name, self.laptops[name], self.server, tables)
        for side in (self.server, *self.laptops.values()):
            side.script(SUBJECT)
        for config in self.configs.values():
            install(config)

    def write(self, name: str, *statements: str) -> None:
        with self.laptops[name].transaction():
            for statement in statements:
                self.laptops[name].run(statement)

    def send(self, name: str, *statements: str) -> dict[str, int]:
        self.write(name, *statements)
        (delivered,) = replicate(self.configs[name])
        return dict(delivered.waiting)

    def captured(self, name: str, at: str) -> None:
        """Say when everything that is not sealed was captured."""
        side = self.laptops[name]
        ours = "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"
        ((change,),) = side.rows(f"select change_table from {ours}captured where table_name = 'subject'")
        change = f"cdc_sync.{change}" if side.kind == "postgresql" else change
        side.run(f"update {change} set cdc_sync_captured_at = {_moment(side, at)}")

    def subjects(self) -> dict[str, tuple[Any, ...]]:
        return {code: rest for code, *rest in map(_row, self.server.rows("select code, note, age from subject"))}

    def notes(self) -> dict[str, str]:
        return dict(self.server.rows("select code, note from subject"))

    def conflicts(self) -> list[Conflict]:
        with databases.connect(self.server.url) as server, server.begin(Mode.READ) as session:
            rows = session.run("conflicts")
        return [Conflict(kind=row[6], origin=row[1], met=row[9], outcome=row[8]) for row in rows]

    def decide(self, for_source: bool) -> None:
        (letter,) = letters(self.server)
        with databases.connect(self.server.url) as server:
            apply.decide(server, letter, self.configs["one"].policies, for_source=for_source)


def _row(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(row)


def _moment(side: Side, at: str) -> str:
    return f"'{at}+00'" if side.kind == "postgresql" else f"julianday('{at}')"


@pytest.fixture(params=PAIRS)
def kinds(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param.split("-"))


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def field(make_side: Make, tmp_path: Path, kinds: Sequence[str], policy: str) -> Field:
    return Field(make_side, tmp_path, kinds, policy)


def shared(field: Field, first: str = "one", then: str = "two") -> None:
    """A subject that both laptops have; the server's row is the first's, after the second's was let go."""
    field.send(first, f"insert into subject (id, code, note) values (1, 's', '{first}')")
    field.laptops[then].run(f"insert into subject (id, code, note) values (1, 's', '{then}')")


@pytest.mark.parametrize("policy", ["source_wins"], indirect=True)
def test_a_subject_entered_on_two_laptops_is_one_row_with_both_laptops_children(field: Field) -> None:
    for name, number in (("one", 1), ("two", 2)):
        field.send(
            name,
            f"insert into subject (id, code, note) values (5, 's', '{name}')",
            f"insert into visit (subject_id, number) values (5, {number})",
        )
    assert field.notes() == {"s": "two"}
    assert sorted(field.server.rows("select number from visit")) == [(1,), (2,)]
    assert field.conflicts() == [Conflict("insert_exists", "two", "one", "source")]


def test_an_insert_that_meets_another_nodes_row_is_decided_by_policy(field: Field, policy: str) -> None:
    shared(field)
    waiting = field.send("two")
    outcome = {"source_wins": "source", "target_wins": "target", "newest_wins": "source", "manual": "held"}[policy]
    assert field.conflicts() == [Conflict("insert_exists", "two", "one", outcome)]
    assert field.notes() == {"s": "two" if outcome == "source" else "one"}
    assert waiting == ({"held": 1} if policy == "manual" else {})


def test_an_older_insert_loses_where_the_newest_wins(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    field.write("two", "insert into subject (id, code, note) values (1, 's', 'two')")
    field.captured("two", "2026-01-01 10:00:00.5")
    field.write("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    field.captured("one", "2026-01-01 10:00:00.75")
    field.send("one")
    field.send("two")
    assert field.notes() == {"s": "one"}
    assert field.conflicts() == [Conflict("insert_exists", "two", "one", "target")]


@pytest.mark.parametrize("first", ["one", "two"])
def test_at_equal_times_the_nodes_name_decides_whoever_comes_first(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], first: str
) -> None:
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    for name in field.laptops:
        field.write(name, f"insert into subject (id, code, note) values (1, 's', '{name}')")
        field.captured(name, "2026-01-01 10:00:00")
    field.send(first)
    field.send({"one": "two", "two": "one"}[first])
    assert field.notes() == {"s": "two"}


def test_a_time_beyond_the_targets_clock_is_held(make_side: Make, tmp_path: Path, kinds: Sequence[str]) -> None:
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    shared(field)
    field.captured("two", "2999-01-01 00:00:00")
    assert field.send("two") == {"held": 1}
    assert field.notes() == {"s": "one"}


def test_an_update_that_meets_another_nodes_row_is_decided_by_policy(field: Field, policy: str) -> None:
    shared(field)
    field.send("two")
    if policy == "manual":
        field.decide(for_source=False)
    before = len(field.conflicts())
    waiting = field.send("one", "update subject set note = 'one again'")
    theirs = "one" if policy in ("target_wins", "manual") else "two"
    if theirs == "one":
        assert field.notes() == {"s": "one again"}
        assert len(field.conflicts()) == before
    else:
        assert field.notes() == {"s": "one again"}
        assert field.conflicts()[before:] == [Conflict("update_origin_differs", "one", "two", "source")]
    assert waiting == {}


def test_changes_of_one_node_never_conflict_with_themselves(field: Field) -> None:
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'a')")
    field.send("one", "update subject set note = 'b'", "update subject set code = 't'")
    field.send("one", "update subject set note = 'c'")
    field.send("one", "update subject set code = 's'", "update subject set note = 'd'")
    field.send("one", "delete from subject", "insert into subject (id, code, note) values (1, 's', 'e')")
    field.send("one", "update subject set id = 7")
    field.send("one", "delete from subject")
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'f')")
    assert field.notes() == {"s": "f"}
    assert field.conflicts() == []
    assert letters(field.server) == []


def test_an_update_of_a_row_that_is_not_there_is_decided_by_policy(field: Field, policy: str) -> None:
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    field.server.run("delete from subject")
    field.send("one", "update subject set note = 'again'")
    outcome = {"source_wins": "source", "target_wins": "target", "newest_wins": "source", "manual": "held"}[policy]
    assert field.conflicts() == [Conflict("update_missing", "one", "", outcome)]
    assert field.notes() == ({"s": "again"} if outcome == "source" else {})


def test_a_later_delete_of_another_node_is_not_undone_by_an_older_update(
    make_side: Make, tmp_path: Path, kinds: Sequence[str]
) -> None:
    field = Field(make_side, tmp_path, kinds, "newest_wins")
    shared(field)
    field.send("two")
    field.write("one", "update subject set note = 'too old'")
    field.captured("one", "2026-01-01 10:00:00")
    field.send("two", "delete from subject")
    field.send("one")
    assert field.notes() == {}
    assert field.conflicts()[-1] == Conflict("update_missing", "one", "", "target")
    field.send("one", "update subject set note = 'newer than the delete'")
    assert field.notes() == {"s": "newer than the delete"}


def test_a_delete_that_meets_another_nodes_row_is_decided_by_policy(field: Field, policy: str) -> None:
    shared(field)
    field.laptops["two"].run("delete from subject")
    waiting = field.send("two")
    newest = Conflict("delete_origin_differs", "two", "one", "source")
    assert field.conflicts() == ([newest] if policy == "newest_wins" else [])
    assert field.notes() == ({} if policy == "newest_wins" else {"s": "one"})
    assert waiting == {}
    field.write("two", "insert into subject (id, code, note) values (1, 's', 'two')")
    field.send("two")
    if policy == "manual":
        field.decide(for_source=False)
    before = len(field.conflicts())
    field.send("one", "update subject set note = 'mine'")
    waiting = field.send("two", "delete from subject")
    outcome = {"source_wins": "source", "target_wins": "target", "newest_wins": "source", "manual": "held"}[policy]
    assert field.conflicts()[-1] == Conflict("delete_origin_differs", "two", "one", outcome)
    assert field.notes() == ({} if outcome == "source" else {"s": "mine"})
    assert len(field.conflicts()) > before


def test_a_delete_of_a_row_that_is_not_there_is_noted_and_nothing_waits(field: Field) -> None:
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    field.server.run("delete from subject")
    assert field.send("one", "delete from subject") == {}
    assert field.conflicts() == [Conflict("delete_missing", "one", "", "target")]


def test_a_row_of_the_servers_own_is_met_as_such(field: Field, policy: str) -> None:
    field.server.run("insert into subject (code, note) values ('s', 'the server')")
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    outcome = {"source_wins": "source", "target_wins": "target", "newest_wins": "source", "manual": "held"}[policy]
    assert field.conflicts() == [Conflict("insert_exists", "one", "", outcome)]
    assert field.notes() == {"s": "one" if outcome == "source" else "the server"}


def test_a_rename_that_meets_another_nodes_row_is_decided_by_policy(field: Field, policy: str) -> None:
    shared(field)
    field.send("two")
    if policy == "manual":
        field.decide(for_source=False)
    mine, other = ("one", "two") if policy in ("target_wins", "manual") else ("two", "one")
    field.send(other, "update subject set code = 'renamed'")
    outcome = {"source_wins": "source", "target_wins": "target", "newest_wins": "source", "manual": "held"}[policy]
    assert field.conflicts()[-1] == Conflict("update_origin_differs", other, mine, outcome)
    assert set(field.notes()) == ({"renamed"} if outcome == "source" else {"s"})


@pytest.mark.parametrize("policy", ["manual"], indirect=True)
@pytest.mark.parametrize("for_source", [True, False], ids=["source", "target"])
def test_a_held_conflict_is_decided_by_a_person_and_later_changes_follow(field: Field, for_source: bool) -> None:
    shared(field)
    assert field.send("two") == {"held": 1}
    assert field.send("two", "update subject set note = 'two again'") == {"held": 1}
    field.decide(for_source=for_source)
    assert letters(field.server) == []
    assert field.notes() == {"s": "two again" if for_source else "one"}
    assert [conflict.outcome for conflict in field.conflicts()] == ["source" if for_source else "target"]


@pytest.mark.parametrize("policy", ["target_wins"], indirect=True)
def test_both_versions_are_written_down(field: Field) -> None:
    shared(field)
    field.send("two")
    with databases.connect(field.server.url) as server, server.begin(Mode.READ) as session:
        (row,) = session.run("conflicts")
    assert json.loads(row[12])["note"] == "two"
    assert json.loads(row[13])["note"] == "one"


def test_policies_are_per_table_and_a_wildcard_serves_where_no_entry_does() -> None:
    from cdc_sync.core.plan import SyncedTable

    own, all_ = Policy(conflict="manual"), Policy(conflict="target_wins")
    policies = Policies(
        tables=[(SyncedTable(name="*", key=("k",)), all_), (SyncedTable(name="subject", key=("k",)), own)]
    )
    assert policies.of("subject") == own
    assert policies.of("visit") == all_
    assert Policies().of("visit") == Policy()


@pytest.mark.parametrize("policy", ["source_wins", "target_wins"], indirect=True)
@pytest.mark.parametrize("sealed", [False, True], ids=["captured", "sealed"])
def test_what_the_servers_own_application_changed_is_known_as_its_own(
    field: Field, make_side: Make, tmp_path: Path, policy: str, sealed: bool
) -> None:
    central = make_side("sqlite", "central")
    central.script(SUBJECT)
    config = write_config(tmp_path, "server", field.server, central, {"subject": ["code"]})
    install(config)
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    assert field.conflicts() == []
    field.server.run("update subject set note = 'server'")
    if sealed:
        replicate(config)
    field.send("one", "update subject set note = 'one again'")
    outcome = policy.removesuffix("_wins")
    assert field.conflicts() == [Conflict("update_origin_differs", "one", "server", outcome)]
    assert field.notes() == {"s": "one again" if outcome == "source" else "server"}


@pytest.mark.parametrize("policy", ["target_wins"], indirect=True)
def test_a_row_at_the_place_of_one_that_went_without_a_word_is_its_nodes_own(field: Field) -> None:
    field.send("one", "insert into subject (id, code, note) values (1, 's', 'one')")
    field.server.run("delete from subject")
    field.send("two", "insert into subject (id, code, note) values (1, 't', 'two')")
    field.send("two", "update subject set note = 'two again'")
    assert field.notes() == {"t": "two again"}
    assert field.conflicts() == []


@pytest.mark.parametrize("policy", POLICIES)
def test_columns_that_only_one_side_changed_are_merged(
    make_side: Make, tmp_path: Path, kinds: Sequence[str], policy: str
) -> None:
    field = Field(make_side, tmp_path, kinds, policy, merge="columns")
    for name in field.laptops:
        field.send(name, "insert into subject (id, code, note, age) values (1, 's', 'first', 7)")
    if policy == "manual":
        field.decide(for_source=True)
    field.send("one", "update subject set note = 'noted by one'")
    field.send("two", "update subject set age = 8")
    assert letters(field.server) == []
    assert field.subjects() == {"s": ["noted by one", 8]}
    assert field.conflicts()[-1] == Conflict("update_origin_differs", "two", "one", "merged")
    field.send("one", "update subject set age = 9")
    expected = {"target_wins": 8, "manual": 8}.get(policy, 9)
    assert field.subjects() == {"s": ["noted by one", expected]}
