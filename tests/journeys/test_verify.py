"""``verify`` finds every row that a destination lacks or holds otherwise, and none that is merely on its way."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_sync import candidates, databases, loop, ship
from cdc_sync import verify as node_verify
from cdc_sync.config import Config
from cdc_sync.errors import Deferred
from cdc_sync.verify import EXTRA, Verified
from tests.conftest import PAIRS, Make
from tests.journeys.conftest import AREA, HOUSE_KEYS, HOUSES, SITE, Journey, Start
from tests.journeys.test_schema_skew import Field
from tests.journeys.test_values_between_kinds import MIXED, READINGS, _enter
from tests.nodes import Shape, Side, Told, by_natural_key, compare, install, replicate, write_config

KINDS = ("sqlite", "postgresql")
Step = tuple[str, str, int]
Borrow = Callable[[], AbstractContextManager[str]]
Found = dict[str, dict[str, list[tuple[str, ...]]]]


def verify(config: Config, *tables: str, repair: bool = False) -> list[Verified]:
    """What ``cdc-sync verify`` does."""
    with databases.connect(config.node.database, config.folder) as database:
        return node_verify.verify(database, config, tables, repair=repair)


def found(reports: Sequence[Verified]) -> Found:
    """What is wrong, by table, with sorted keys."""
    return {r.table: {what: sorted(keys) for what, keys in r.keys.items()} for r in reports if r.keys}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and groups so small that every test has several."""
    monkeypatch.setattr(candidates, "PAGE", 2)
    monkeypatch.setattr(candidates, "GROUP", 2)
    monkeypatch.setattr(node_verify, "PATIENCE", 0.5)


OWN = {
    "area": {EXTRA: [("server",)]},
    "site": {EXTRA: [("server", "main")]},
    "room": {EXTRA: [("server", "main", "1")]},
    "bed": {EXTRA: [("server", "main", "1", "a")]},
}


def test_what_was_replicated_is_equal_and_rows_of_the_server_are_listed(houses: Journey) -> None:
    reports = verify(houses.config)
    assert [(r.table, r.rows, r.missing, r.different, r.waiting) for r in reports] == [
        ("area", 2, 0, 0, 0),
        ("site", 3, 0, 0, 0),
        ("room", 4, 0, 0, 0),
        ("bed", 5, 0, 0, 0),
    ]
    assert found(reports) == OWN
    assert not any(report.differs(exact=False) for report in reports)
    assert all(report.differs(exact=True) for report in reports)


def test_rows_that_are_missing_or_different_are_named_by_natural_key_and_repaired(houses: Journey) -> None:
    south = "(select id from area where code = 'south')"
    houses.target.run("update area set note = 'otherwise' where code = 'north'")
    houses.target.run(f"update site set note = 'otherwise' where name = 'annex' and area_id = {south}")
    houses.target.run("delete from bed where letter = 'b'")
    houses.target.run(f"delete from site where area_id = {south} and name = 'main'")
    reports = verify(houses.config, repair=True)
    wrong = {table: {k: v for k, v in kinds.items() if k != EXTRA} for table, kinds in found(reports).items()}
    assert wrong == {
        "area": {"different": [("north",)]},
        "site": {"different": [("south", "annex")], "missing": [("south", "main")]},
        "room": {"missing": [("south", "main", "1")]},
        "bed": {"missing": [("north", "main", "1", "b"), ("south", "main", "1", "a")]},
    }
    assert [report.repaired for report in reports] == [1, 2, 1, 2]
    assert [report.waiting for report in verify(houses.config)] == [1, 2, 1, 2]
    houses.arrive()
    assert found(verify(houses.config)) == OWN


def test_a_reference_to_another_parent_is_different_whatever_the_ids(start: Start) -> None:
    schema = """
        create table place (id {pk}, code varchar(20) not null unique);
        create table visit (id {pk}, code varchar(20) not null unique, place_id integer references place (id));
    """
    journey = start(
        schema, {"place": ["code"], "visit": ["code"]}, server="insert into place (id, code) values (7, 'elsewhere')"
    )
    journey.write(
        "insert into place (id, code) values (1, 'a'), (2, 'b')",
        "insert into visit (code, place_id) values ('v1', 1), ('v2', 2), ('v3', null), ('v4', null), ('v5', 2)",
    )
    replicate(journey.config)
    assert not any(report.differs(exact=False) for report in verify(journey.config))
    journey.target.run("update visit set place_id = (select id from place where code = 'b') where code = 'v1'")
    journey.target.run("update visit set place_id = null where code = 'v2'")
    journey.target.run("update visit set place_id = 7 where code = 'v3'")
    assert found(verify(journey.config, "visit", repair=True)) == {"visit": {"different": [("v1",), ("v2",), ("v3",)]}}
    replicate(journey.config)
    assert found(verify(journey.config, "visit")) == {}


def test_changes_on_their_way_are_no_differences(houses: Journey) -> None:
    """Every kind of change, not sealed: of rows, and of the parents that their keys run through."""
    houses.write(
        "update area set code = 'east' where code = 'south'",
        "insert into area (id, code) values (8, 'new')",
        "update site set note = 'changed' where id = 1",
        "delete from room where id = 2",
        "insert into bed (id, room_id, letter) values (9, 1, 'z')",
    )
    reports = verify(houses.config)
    assert found(reports) == OWN
    assert [(report.missing, report.different) for report in reports] == [(0, 0)] * 4
    assert [report.waiting > 0 for report in reports] == [True] * 4
    houses.arrive()
    reports = verify(houses.config)
    assert found(reports) == OWN
    assert [report.waiting for report in reports] == [0] * 4


def test_a_server_that_never_heard_of_the_node_lacks_every_row_and_gets_them(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        side.script(HOUSES)
    source.script("insert into area (id, code) values (1, 'old'); insert into site (area_id, name) values (1, 'old')")
    config = write_config(tmp_path, "late", source, target, HOUSE_KEYS)
    install(config)
    assert found(verify(config, repair=True)) == {
        "area": {"missing": [("old",)]},
        "site": {"missing": [("old", "old")]},
    }
    replicate(config)
    assert found(verify(config)) == {}


def test_a_progress_is_told_of_the_rows_of_both_sides(houses: Journey) -> None:
    told = Told()
    with databases.connect(houses.config.node.database) as database:
        node_verify.verify(database, houses.config, progress=told)
    assert (told.awaited, told.done) == (14 + 18, 14 + 18)


def test_unique_values_that_changed_hands_at_the_server_are_put_right(start: Start) -> None:
    schema = "create table phone (id {pk}, code varchar(20) not null unique, number varchar(20) not null unique);"
    journey = start(schema, {"phone": ["code"]}, Shape("phone", ("code",), ("number",)))
    journey.arrive("insert into phone (code, number) values ('a', '1'), ('b', '2'), ('c', '3')")
    for code, number in (("a", "none"), ("b", "1"), ("a", "2")):
        journey.target.run("update phone set number = ? where code = ?", (number, code))
    assert found(verify(journey.config, repair=True)) == {"phone": {"different": [("a",), ("b",)]}}
    journey.arrive()


@pytest.mark.parametrize("kind", KINDS)
def test_changes_that_are_sealed_and_not_applied_make_it_wait(make_side: Make, tmp_path: Path, kind: str) -> None:
    config, source, _ = subjects(make_side, tmp_path, kind, "sqlite", {"key": ["code"]})
    replicate(config)
    source.run("insert into subject (code) values ('later')")
    with databases.connect(config.node.database) as database:
        ship.seal_waiting(database, config)
    with pytest.raises(Deferred, match=r"up to 1 and not yet those up to 2") as waiting:
        verify(config)
    assert "replicate --once" in waiting.value.hint
    replicate(config)
    assert found(verify(config)) == {}


def subjects(
    make_side: Make, folder: Path, kind: str, other: str, entry: dict[str, Sequence[str] | str | bool]
) -> tuple[Config, Side, Side]:
    """A node with a few subjects, not replicated yet."""
    source, target = make_side(kind, "source"), make_side(other, "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(folder, "laptop", source, target, {"subject": entry})
    install(config)
    source.many("insert into subject (code, note, n) values (?, ?, ?)", [(f"s{i}", "final", i) for i in range(9)])
    return config, source, target


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_travel_is_not_compared(make_side: Make, tmp_path: Path, kind: str) -> None:
    """Rows outside the filter, excluded columns, columns of the server's own, generated ones, its own ids."""
    entry: dict[str, Sequence[str] | str | bool] = {"key": ["code"], "where": "note <> 'draft'", "exclude": ["n"]}
    config, source, target = subjects(make_side, tmp_path, kind, "postgresql", entry)
    target.script(
        "alter table subject add place text default 'here'; "
        "alter table subject add length integer generated always as (length(note)) stored;"
        "insert into subject (code) values ('own')"
    )
    source.run("update subject set note = 'draft' where code in ('s1', 's2')")
    replicate(config)
    source.run("insert into subject (code, note) values ('s77', 'draft')")
    target.run("update subject set n = 1000, place = 'there'")
    (report,) = verify(config)
    assert (report.rows, report.missing, report.different, report.extra, report.waiting) == (7, 0, 0, 1, 0)
    target.run("insert into subject (code, note) values ('s1', 'draft')")
    assert found(verify(config)) == {"subject": {EXTRA: [("own",), ("s1",)]}}
    source.run("update subject set note = 'final' where code = 's1'")
    (report,) = verify(config)
    assert (report.missing, report.different, report.extra, report.waiting) == (0, 0, 1, 1)


@pytest.mark.parametrize("operations", [("insert",), ("insert", "update"), ("update", "delete")])
def test_operations_that_do_not_travel_make_no_difference(
    make_side: Make, tmp_path: Path, operations: tuple[str, ...]
) -> None:
    entry: dict[str, Sequence[str] | str | bool] = {"key": ["code"], "operations": operations}
    config, source, _ = subjects(make_side, tmp_path, "sqlite", "sqlite", entry)
    replicate(config)
    source.run("update subject set note = 'changed' where code = 's1'")
    source.run("delete from subject where code = 's2'")
    replicate(config)
    (report,) = verify(config)
    assert (report.missing, report.different) == (0, 0)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_keys_that_the_destination_takes_for_one_are_one_row(make_side: Make, tmp_path: Path, target: str) -> None:
    source, server = make_side("sqlite", "source"), make_side(target, "target")
    source.script("create table word (id {pk}, word text not null unique, n numeric)")
    if target == "postgresql":
        server.script("create extension if not exists citext")
    insensitive = "citext" if target == "postgresql" else "text collate nocase"
    server.script(f"create table word (id {{pk}}, word {insensitive} not null unique, n numeric)")
    config = write_config(tmp_path, "laptop", source, server, {"word": ["word"]})
    install(config)
    server.run("insert into word (word, n) values ('ABC', 1), ('Def', 1)")
    source.run("insert into word (word, n) values ('abc', 1), ('xyz', 1.50)")
    replicate(config)
    assert found(verify(config)) == {"word": {EXTRA: [("Def",)]}}


@pytest.mark.parametrize("pair", PAIRS)
def test_every_value_that_an_apply_wrote_is_equal_and_every_change_of_one_is_found(
    make_side: Make, tmp_path: Path, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = pair.split("-")
    source, target = make_side(kinds[0], "source"), make_side(kinds[1], "target")
    for side in (source, target):
        side.script(MIXED[side.kind])
    config = write_config(tmp_path, "laptop", source, target, {"reading": ["code"]})
    install(config)
    _enter(source, READINGS)
    replicate(config)
    decided: list[object] = []
    decide = node_verify.Verification.decide

    def noted(self: node_verify.Verification, group: candidates.Group) -> None:
        decided.append(group)
        decide(self, group)

    monkeypatch.setattr(node_verify.Verification, "decide", noted)
    assert found(verify(config)) == {}
    assert not decided or kinds[0] != kinds[1], "the first look should see that the same types hold the same"
    truth = "1" if kinds[1] == "sqlite" else "true"
    changed = {"flag": truth, "ratio": "1.5", "amount": "7.5", "day": "'2001-01-01'", "note": "null"}
    changed |= {"moment": "'2001-01-01 00:00:00'", "hour": "'01:00:00'", "label": "'other'", "facts": "'[]'"}
    for code, (column, value) in enumerate(changed.items()):
        target.run(f"update reading set {column} = {value} where code = '{code}'")
    assert found(verify(config, repair=True)) == {"reading": {"different": [(str(code),) for code in range(9)]}}
    replicate(config)
    assert found(verify(config)) == {}


SUBJECT = "create table subject (id {pk}, code varchar(40) not null unique, note text, n integer);"
SHAPE = Shape("subject", ("code",), ("note", "n"))


@pytest.mark.parametrize("pair", ["sqlite-postgresql", "postgresql-sqlite"])
def test_while_applications_write_and_a_daemon_replicates_only_real_differences_are_found(
    make_side: Make, tmp_path: Path, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_verify, "PATIENCE", 30.0)
    monkeypatch.setattr(candidates, "PAGE", 50)
    monkeypatch.setattr(loop, "POLL", 0.05)
    config, source, target = subjects(make_side, tmp_path, *pair.split("-"), {"key": ["code"]})
    source.many("insert into subject (code, n) values (?, ?)", [(f"w{i}", i) for i in range(100)])
    source.run("insert into subject (code) values ('lost'), ('other')")
    replicate(config)
    target.run("delete from subject where code = 'lost'")
    target.run("update subject set note = 'at the server' where code = 'other'")
    over, complaints = threading.Event(), list[Exception]()
    workers = [
        threading.Thread(target=_write, args=(source, over)),
        threading.Thread(target=loop.run, args=(config, ship.Progress(), over, complaints.append)),
    ]
    for worker in workers:
        worker.start()
    try:
        for _ in range(2):
            assert found(verify(config)) == {"subject": {"missing": [("lost",)], "different": [("other",)]}}
    finally:
        over.set()
        for worker in workers:
            worker.join()
    assert complaints == []
    replicate(config)
    assert found(verify(config, repair=True)) == {"subject": {"missing": [("lost",)], "different": [("other",)]}}
    replicate(config)
    compare(source, target, SHAPE)


def _write(side: Side, over: threading.Event) -> None:
    """Update, delete and insert again, and rename rows whose code begins with a w."""
    connection, mark, turn = side.connect(), "%s" if side.kind == "postgresql" else "?", 0
    while not over.is_set():
        turn += 1
        code = f"w{turn * 7 % 100}"
        connection.execute(f"update subject set n = {turn} where code = {mark}", (code,))
        if turn % 3 == 0:
            connection.execute(f"delete from subject where code = {mark}", (code,))
            connection.execute(f"insert into subject (code, n) values ({mark}, {turn})", (code,))
        if turn % 5 == 0:
            connection.execute(f"update subject set code = {mark} where code = {mark}", (f"w{turn}r", code))
        over.wait(0.01)
    connection.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["here", "there"]),
        st.sampled_from(["insert", "delete", "update", "rename", "site"]),
        st.integers(1, 4),
    ),
    max_size=8,
)


@pytest.mark.parametrize("pair", PAIRS)
@settings(max_examples=settings().max_examples // 10)
@given(damage=STEPS, waiting=STEPS)
def test_whatever_is_done_to_either_side_exactly_the_difference_is_found_and_mended(
    pair: str, damage: Sequence[Step], waiting: Sequence[Step], kept: dict[str, Journey]
) -> None:
    """First with nothing on its way, then with changes that wait: these hide no other difference and make none."""
    journey, candidates.GROUP = kept[pair], 20
    for side in (journey.source, journey.target):
        side.run("delete from area")
        replicate(journey.config)
    for number in range(1, 4):
        for step in ("insert", "site"):
            _take(journey.source, step, number)
    replicate(journey.config)
    for side, step, number in damage:
        if side == "here":
            _take(journey.source, step, number)
            replicate(journey.config)
        else:
            _take(journey.target, step, number)
    expected = _difference(journey)
    assert found(verify(journey.config)) == expected
    for _, step, number in waiting:
        _take(journey.source, step, number)
    for table, kinds in found(verify(journey.config)).items():
        for what, keys in kinds.items():
            assert set(keys) <= set(expected.get(table, {}).get(what, [])), (table, what)
    replicate(journey.config)
    assert found(verify(journey.config)) == _difference(journey)
    verify(journey.config, repair=True)
    replicate(journey.config)
    after = _difference(journey)
    assert all(set(kinds) <= {EXTRA} for kinds in after.values())
    assert found(verify(journey.config)) == after


def _difference(journey: Journey) -> Found:
    """The difference as the tests' own joins see it."""
    made: Found = {}
    for shape in (AREA, SITE):
        here, there = by_natural_key(journey.source, shape), by_natural_key(journey.target, shape)
        kinds = {
            "missing": sorted(here.keys() - there.keys()),
            "different": sorted(key for key in here.keys() & there.keys() if here[key] != there[key]),
            EXTRA: sorted(there.keys() - here.keys()),
        }
        if any(kinds.values()):
            made[shape.table] = {what: keys for what, keys in kinds.items() if keys}
    return made


def _take(side: Side, step: str, number: int) -> None:
    area = side.run(f"select 1 from area where id = {number}")
    match step:
        case "insert" if not area and not side.run(f"select 1 from area where code = 'c{number}'"):
            side.run(f"insert into area (id, code) values ({number}, 'c{number}')")
        case "delete":
            side.run(f"delete from area where id = {number}")
        case "update":
            side.run(f"update area set note = coalesce(note, '') || 'u' where id = {number}")
            side.run(f"update site set note = coalesce(note, '') || 'u' where id = {number}")
        case "rename":
            side.run(f"update area set code = code || 'r' where id = {number}")
        case "site" if area and not side.run(f"select 1 from site where id = {number}"):
            side.run(f"insert into site (id, area_id, name) values ({number}, {number}, 'main')")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, emptied: Borrow) -> Iterator[dict[str, Journey]]:
    """A source and its server for each pair, kept for all programs; the first two tables of the houses."""
    folder = tmp_path_factory.mktemp("kept")
    with ExitStack() as stack:
        made = {pair: _kept(stack, folder, emptied, pair) for pair in PAIRS}
        yield made
        for journey in made.values():
            journey.source.close()
            journey.target.close()


def _kept(stack: ExitStack, folder: Path, emptied: Borrow, pair: str) -> Journey:
    sides = []
    for name, kind in zip(("source", "target"), pair.split("-"), strict=True):
        url = stack.enter_context(emptied()) if kind == "postgresql" else f"sqlite:///{folder}/{pair}-{name}.db"
        sides.append(Side(kind, url, folder))
        sides[-1].script(";".join(HOUSES.split(";")[:2]) + ";")
    config = write_config(folder, pair, *sides, {name: HOUSE_KEYS[name] for name in ("area", "site")})
    install(config)
    return Journey((sides[0], sides[1]), config, (AREA, SITE))


@pytest.mark.parametrize("pair", PAIRS)
def test_tables_and_columns_that_are_called_otherwise_or_are_lacking_are_compared_all_the_same(
    make_side: Make, tmp_path: Path, pair: str
) -> None:
    field = Field(make_side, tmp_path, pair.split("-"))
    field.laptops["one"].script(
        "alter table subject add guardian integer references subject (id); alter table subject add age integer"
    )
    install(field.configs["one"])
    field.send(
        "one",
        "insert into subject (id, code, dob, note, age) values (1, 'a', '2001-02-03', 'x', 7)",
        "insert into subject (id, code, mate, guardian) values (2, 'b', 1, 1)",
        "insert into subject_visit (id, subject_id, number, seen) values (1, 1, 1, 'yes'), (2, 2, 1, 'no')",
        "insert into sample (visit_id, tube) values (1, 't1'), (2, 't1')",
    )
    config, server, schema = field.configs["one"], field.server, field.schema
    assert found(verify(config)) == {}
    server.run(f"update {schema}person set spouse = null where person_code = 'b'")
    server.run(f"update {schema}person set remark = 'other' where person_code = 'a'")
    server.run("delete from sample where id = (select max(id) from sample)")
    server.run(
        f"insert into {schema}visit (person, nr) select person_no, 9 from {schema}person where person_code = 'a'"
    )
    assert found(verify(config, repair=True)) == {
        "subject": {"different": [("a",), ("b",)]},
        "subject_visit": {EXTRA: [("a", "9")]},
        "sample": {"missing": [("b", "1", "t1")]},
    }
    replicate(config)
    assert found(verify(config)) == {"subject_visit": {EXTRA: [("a", "9")]}}
