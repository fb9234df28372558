"""Rows that stand in the tables already are sent again: right under writers, resumable, and harmless at the server."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_sync import databases, ship
from cdc_sync import resync as node_resync
from cdc_sync.config import Config
from cdc_sync.resync import Resynced
from tests.conftest import Make
from tests.journeys.conftest import AREA, BED, HOUSE_KEYS, HOUSES, ROOM, SITE, Journey, Start
from tests.journeys.killed import Runner
from tests.journeys.test_crash import killed
from tests.nodes import Shape, Side, Told, by_natural_key, compare, contents, install, replicate, write_config

KINDS = ("sqlite", "postgresql")
SUBJECT = "create table subject (id {pk}, code varchar(40) not null unique, note text);"
SHAPE = Shape("subject", ("code",), ("note",))


def resync(config: Config, *tables: str, where: str = "", anew: bool = False) -> list[Resynced]:
    """What ``cdc-sync resync`` does."""
    with databases.connect(config.node.database, config.folder) as database:
        return node_resync.resync(database, config, tables, where=where, anew=anew)


def everything(side: Side, tables: Sequence[str]) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(side.rows(f"select * from {table}")) for table in tables}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_resync, "CHUNK", 2)


def test_rows_that_are_at_the_server_already_change_nothing_there(houses: Journey) -> None:
    before = everything(houses.target, tuple(HOUSE_KEYS))
    noted = resync(houses.config)
    assert [(table.table, table.rows) for table in noted] == [("area", 2), ("site", 3), ("room", 4), ("bed", 5)]
    replicate(houses.config)
    assert everything(houses.target, tuple(HOUSE_KEYS)) == before


def test_rows_that_the_server_lost_come_back_under_their_parents(houses: Journey) -> None:
    houses.target.run("delete from area where code <> 'server'")
    houses.target.run("update area set note = 'kept' where code = 'server'")
    houses.others = contents(houses.target, houses.shapes)
    resync(houses.config)
    houses.arrive()


def test_rows_from_before_the_installation_are_sent(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script(HOUSES)
    source.script("insert into area (id, code) values (1, 'old'); insert into site (area_id, name) values (1, 'old')")
    config = write_config(tmp_path, "late", source, target, HOUSE_KEYS)
    install(config)
    replicate(config)
    assert by_natural_key(target, AREA) == {}
    resync(config)
    replicate(config)
    compare(source, target, AREA, SITE, ROOM, BED)


def test_a_row_that_goes_before_the_seal_is_forgotten_although_another_took_its_key(houses: Journey) -> None:
    """The note of a row that went names nothing that the server should delete."""
    resync(houses.config, "area")
    houses.write(
        "delete from area where code = 'south'", "insert into area (id, code, note) values (9, 'south', 'new')"
    )
    replicate(houses.config)
    note_again(houses, 2)
    houses.arrive()


def note_again(journey: Journey, number: int) -> None:
    """A note of a row that is gone, written late: as by a chunk whose transaction began before the row went."""
    prefix = "cdc_sync." if journey.source.kind == "postgresql" else "cdc_sync_"
    change = journey.source.rows(f"select change_table from {prefix}captured where table_name = 'area'")[0][0]
    table = f'cdc_sync."{change}"' if journey.source.kind == "postgresql" else f'"{change}"'
    clock = "now()" if journey.source.kind == "postgresql" else "julianday()"
    journey.source.run(f"insert into {table} (cdc_sync_op, cdc_sync_captured_at, id) values ('S', {clock}, {number})")


def test_a_noted_row_whose_key_changes_is_renamed_and_not_doubled(houses: Journey) -> None:
    resync(houses.config)
    houses.write("update area set code = 'east' where code = 'south'", "update site set name = 'hut' where id = 1")
    houses.arrive("update bed set letter = 'z' where id = 5", "delete from room where id = 2")


@pytest.mark.parametrize("conflict", ["source_wins", "target_wins", "newest_wins", "manual"])
def test_rows_that_the_server_lacks_are_no_conflicts(make_side: Make, tmp_path: Path, conflict: str) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": {"key": ["code"], "conflict": conflict}})
    install(config)
    source.run("insert into subject (code) values ('a'), ('b'), ('c')")
    replicate(config)
    target.run("delete from subject where code = 'b'")
    resync(config)
    replicate(config)
    compare(source, target, SHAPE)
    assert target.rows("select count(*) from cdc_sync_conflict") == [(0,)]


def test_only_rows_that_fit_the_condition_are_sent(houses: Journey) -> None:
    houses.target.run("update room set note = 'changed at the server'")
    assert [table.rows for table in resync(houses.config, "room", where="number = 2")] == [1]
    replicate(houses.config)
    notes = houses.target.rows("select number, note from room where id <> 700 order by number")
    assert [note for number, note in notes if number == 2] == [None]
    assert {note for number, note in notes if number == 1} == {"changed at the server"}


def test_rows_outside_the_filter_stay_and_those_inside_are_sent(start: Start) -> None:
    tables = {"subject": {"key": ["code"], "where": "note <> 'draft'", "operations": ["insert"]}}
    journey = start(SUBJECT, tables, SHAPE)
    journey.write("insert into subject (code, note) values ('a', 'final'), ('b', 'draft'), ('c', 'final')")
    replicate(journey.config)
    journey.target.run("delete from subject")
    assert [table.rows for table in resync(journey.config)] == [2]
    replicate(journey.config)
    assert by_natural_key(journey.target, SHAPE) == {("a",): ("final",), ("c",): ("final",)}


def test_keys_of_several_columns_and_of_text_are_walked_through_once(start: Start) -> None:
    schema = (
        "create table word (lang varchar(9) not null, word varchar(40) not null, n integer, primary key (lang, word));"
    )
    journey = start(schema, {"word": ["lang", "word"]}, Shape("word", ("lang", "word"), ("n",)))
    words = ["", " ", "a", "A", "ä", "é", "z", "Z", "tab\there", "line\nfeed", "back\\slash", "'quote'", "😀"]
    journey.source.many("insert into word values (?, ?, 1)", [(lang, word) for lang in ("de", "DE") for word in words])
    replicate(journey.config)
    journey.target.run("delete from word")
    assert [table.rows for table in resync(journey.config)] == [2 * len(words)]
    journey.arrive()


class Stopping(ship.Progress):
    """Stops the run that tells it of rows, after so many chunks."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks

    def applied(self, rows: int) -> None:  # noqa: ARG002
        self.chunks -= 1
        if self.chunks < 0:
            raise KeyboardInterrupt


def test_a_resync_that_was_stopped_goes_on_where_it_stopped(houses: Journey) -> None:
    with databases.connect(houses.config.node.database) as database, pytest.raises(KeyboardInterrupt):
        node_resync.resync(database, houses.config, progress=Stopping(4 + 5))
    again = {table.table: (table.rows, table.before) for table in resync(houses.config)}
    assert again == {"area": (2, 2), "site": (3, 3), "room": (4, 4), "bed": (5, 0)}
    assert [table.before for table in resync(houses.config)] == [0] * 4, "one that ended is not gone on with"


def test_another_request_and_one_to_begin_anew_begin_at_the_first_row(houses: Journey) -> None:
    for options in ({"where": "number = 1"}, {"anew": True}):
        with databases.connect(houses.config.node.database) as database, pytest.raises(KeyboardInterrupt):
            node_resync.resync(database, houses.config, ["room"], progress=Stopping(2))
        assert [table.before for table in resync(houses.config, "room", **options)] == [0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_commit_a_resync_sends_every_row(
    make_side: Make, tmp_path: Path, runner: Runner, kind: str
) -> None:
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('a'), ('b')")
    number, died = 0, True
    while died:
        number += 1
        target.run("delete from subject")
        died = killed(runner, config, ("before", "after")[number % 2], number, "resync")
        resync(config)
        source.run("insert into subject (code) values (?)", (f"round {number}",))
        replicate(config)
        compare(source, target, SHAPE)
    assert number > 3


@pytest.mark.parametrize("kind", KINDS)
def test_writers_go_on_and_their_last_word_arrives(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = make_side(kind, "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SUBJECT)
    source.many("insert into subject (code) values (?)", [(f"s{i}",) for i in range(300)])
    config = write_config(tmp_path, "busy", source, target, {"subject": ["code"]})
    install(config)
    over = threading.Event()
    writers = [threading.Thread(target=_scribble, args=(source, seed, over)) for seed in range(2)]
    for writer in writers:
        writer.start()
    node_resync.CHUNK = 20
    for _ in range(2):
        resync(config)
        replicate(config)
    over.set()
    for writer in writers:
        writer.join()
    replicate(config)
    compare(source, target, SHAPE)


def _scribble(side: Side, seed: int, over: threading.Event) -> None:
    """Update, delete and insert again, and rename, row after row."""
    connection, mark, turn = side.connect(), "%s" if side.kind == "postgresql" else "?", seed
    while not over.is_set():
        turn += 2
        code = f"s{turn % 300}"
        connection.execute(f"update subject set note = {mark} where code = {mark}", (f"turn {turn}", code))
        if turn % 3 == 0:
            connection.execute(f"delete from subject where code = {mark}", (code,))
            connection.execute(f"insert into subject (code, note) values ({mark}, 'again')", (code,))
        if turn % 5 == 0:
            connection.execute(f"update subject set code = {mark} where code = {mark}", (f"{code} {turn}", code))
        over.wait(0.01)
    connection.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("note"), st.integers(1, 4)),
        st.tuples(st.just("seal"), st.just(0)),
        st.tuples(st.sampled_from(["insert", "delete", "rename", "move", "take", "update"]), st.integers(1, 4)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=settings().max_examples // 5)
@given(steps=STEPS)
def test_whenever_a_row_is_noted_the_server_equals_the_source_in_the_end(
    kind: str, steps: list[tuple[str, int]], shared: dict[str, Journey]
) -> None:
    """Notes of rows that stand or do not, before and after everything that can happen to them."""
    journey = shared[kind]
    journey.write("delete from area")
    replicate(journey.config)
    for step, number in steps:
        _take(journey, step, number)
    journey.arrive()


def _take(journey: Journey, step: str, number: int) -> None:
    run = journey.source.run
    free = not run(f"select 1 from area where id = {number} or code = 'c{number}'")
    match step:
        case "note":
            note_again(journey, number)
        case "seal":
            replicate(journey.config)
        case "insert" if free:
            run(f"insert into area (id, code) values ({number}, 'c{number}')")
        case "delete":
            run(f"delete from area where id = {number}")
        case "update":
            run(f"update area set note = coalesce(note, '') || 'u' where id = {number}")
        case "rename":
            run(f"update area set code = code || 'r' where id = {number}")
        case "move" if not run(f"select 1 from area where id = {number + 1}"):
            run(f"update area set id = {number + 1} where id = {number}")
        case "take" if free:
            run(f"update area set code = 'c{number}' where id = {number % 4 + 1}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, emptied: object) -> Iterator[dict[str, Journey]]:
    """A source of each kind and its server, kept for all programs."""
    made: dict[str, Journey] = {}
    folder = tmp_path_factory.mktemp("shared")
    with emptied() as url:  # type: ignore[operator]
        for kind in KINDS:
            place = f"sqlite:///{folder}/{{}}-{kind}.db"
            sides = (
                Side(kind, url if kind == "postgresql" else place.format("source"), folder),
                Side("sqlite", place.format("target"), folder),
            )
            for side in sides:
                side.script("create table area (id integer primary key, code varchar(20) not null unique, note text);")
            config = write_config(folder, f"laptop-{kind}", *sides, {"area": ["code"]})
            install(config)
            made[kind] = Journey(sides, config, (AREA,))
        yield made
        for journey in made.values():
            journey.source.close()
            journey.target.close()


def test_a_progress_is_told_of_every_row(houses: Journey) -> None:
    told = Told()
    with databases.connect(houses.config.node.database) as database:
        node_resync.resync(database, houses.config, progress=told)
    assert (told.awaited, told.done) == (14, 14)
