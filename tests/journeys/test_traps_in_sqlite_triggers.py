"""Traps of triggers in SQLite: what fires and what does not, in which order, and what the application sees of ours."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, install, waiting, write_config

SCHEMA = "create table subject (id {pk}, code text not null unique, phone text unique, note text);"
SHAPE = Shape("subject", ("code",), ("phone", "note"))
ROWS = "insert into subject (id, code, phone) values (1, 's1', 'p1'), (2, 's2', 'p2'), (3, 's3', 'p3')"


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side(request.param, "target")


ONLY_SQLITE = pytest.mark.parametrize("pair", ["sqlite"], indirect=True)


@pytest.fixture
def subjects(start: Start) -> Journey:
    """Three subjects, replicated."""
    journey = start(SCHEMA, {"subject": ["code"]}, SHAPE)
    journey.arrive(ROWS)
    return journey


# --- cascades

LEVELS = """
create table area (id {pk}, code text not null unique);
create table site (id {pk}, area_id integer not null references area (id) on delete cascade on update cascade,
    code text not null, unique (area_id, code));
create table bed (id {pk}, site_id integer not null references site (id) on delete cascade on update cascade,
    spare_id integer default 1 references site (id) on delete set null on update cascade,
    code text not null, unique (site_id, code));
"""
KEYS = {"area": ["code"], "site": ["area_id", "code"], "bed": ["site_id", "code"]}
AREA = Shape("area", ("code",))
SITE = Shape("site", ("area_id>area.code", "code"))
BED = Shape(
    "bed", ("site_id>site.area_id>area.code", "site_id>site.code", "code"), ("spare_id>site.area_id>area.code",)
)
CASCADES = {
    "delete": ["delete from area where code = 'a1'"],
    "delete in the middle": ["delete from site where area_id = 2"],
    "delete everything": ["delete from area"],
    "other ids": ["update area set id = id + 100"],
    "other ids in the middle": ["update site set id = id + 100"],
    "other ids, then deleted": ["update area set id = id + 100", "delete from area where id = 101"],
    "replace": ["insert or replace into area (id, code) values (2, 'a9')"],
    "replace by the key": ["insert or replace into area (code) values ('a1')"],
    "update or replace": ["update or replace area set code = 'a1' where id = 2"],
}


def fill_levels(journey: Journey) -> None:
    journey.arrive(
        "insert into area (id, code) values (1, 'a1'), (2, 'a2')",
        "insert into site (id, area_id, code) values (1, 1, 's'), (2, 1, 't'), (3, 2, 's')",
        "insert into bed (id, site_id, spare_id, code) values (1, 1, 3, 'x'), (2, 2, 1, 'x'), (3, 3, 1, 'x')",
    )


@pytest.mark.parametrize("statements", CASCADES.values(), ids=CASCADES.keys())
@pytest.mark.parametrize("recursive", ["off", "on"])
def test_what_cascades_do_through_three_levels_arrives(start: Start, statements: list[str], recursive: str) -> None:
    """Cascades fire triggers, the children's before the parent's, whatever recursive_triggers says."""
    journey = start(LEVELS, KEYS, AREA, SITE, BED)
    journey.source.run(f"pragma recursive_triggers = {recursive}")
    fill_levels(journey)
    journey.arrive(*statements)
    assert waiting(journey.config) == 0


BY_HAND = {
    "the parent is deleted first": [
        "delete from area where id = 1",
        "update bed set spare_id = null where spare_id in (1, 2)",
        "delete from bed where site_id in (1, 2)",
        "delete from site where area_id = 1",
    ],
    "the parent gets another id first": [
        "update area set id = id + 100",
        "update site set area_id = area_id + 100",
        "update site set id = id + 50",
        "update bed set site_id = site_id + 50, spare_id = spare_id + 50",
    ],
    "the child is written first": [
        "insert into bed (id, site_id, spare_id, code) values (9, 9, null, 'x')",
        "insert into site (id, area_id, code) values (9, 9, 's')",
        "insert into area (id, code) values (9, 'a9')",
    ],
    "everything is deleted": ["delete from area", "delete from site", "delete from bed"],
}


@pytest.mark.parametrize("statements", BY_HAND.values(), ids=BY_HAND.keys())
def test_without_foreign_keys_the_application_keeps_its_own_order(start: Start, statements: list[str]) -> None:
    """``pragma foreign_keys`` is off unless a connection turns it on: nothing cascades, nothing is checked."""
    journey = start(LEVELS, KEYS, AREA, SITE, BED)
    journey.source.run("pragma foreign_keys = off")
    fill_levels(journey)
    for statement in statements:
        journey.source.run(statement)
    journey.arrive()


# --- what fires, and what does not


@pytest.mark.parametrize("statement", ["delete from subject", "delete from subject where 1"])
def test_delete_without_where_deletes_every_row_at_the_server(subjects: Journey, statement: str) -> None:
    """The truncate optimisation would skip the rows; SQLite leaves it out where a delete trigger exists."""
    subjects.arrive(statement)
    assert subjects.target.rows("select code from subject") == []
    subjects.arrive(ROWS)


def test_an_update_that_changes_nothing_changes_nothing_at_the_server(subjects: Journey) -> None:
    before = subjects.ids("subject")
    subjects.arrive("update subject set note = note, code = code, id = id")
    assert subjects.ids("subject") == before


def test_writes_through_a_view_are_captured(subjects: Journey) -> None:
    subjects.source.script("""
        create view coded as select code, phone from subject;
        create trigger coded_i instead of insert on coded begin
            insert or replace into subject (code, phone) values (new.code, new.phone); end;
        create trigger coded_u instead of update on coded begin
            update subject set code = new.code, phone = new.phone where code = old.code; end;
        create trigger coded_d instead of delete on coded begin delete from subject where code = old.code; end;
    """)
    subjects.arrive("insert into coded values ('s4', 'p1')", "update coded set code = code || 'v', phone = null")
    subjects.arrive("delete from coded where code = 's4v'", "insert or ignore into coded values ('s2v', 'p9')")


def test_what_an_application_trigger_writes_into_another_table_is_captured(start: Start) -> None:
    audit = Shape("audit", ("code",), ("word",))
    journey = start(
        SCHEMA + "create table audit (id {pk}, code text not null unique, word text);",
        {"subject": ["code"], "audit": ["code"]},
        SHAPE,
        audit,
    )
    journey.source.script("""
        create trigger app_i after insert on subject begin insert into audit (code, word) values (new.code, 'i'); end;
        create trigger app_u after update on subject begin
            insert into audit (code, word) values (new.code, 'u') on conflict (code) do update set word = word || 'u';
        end;
        create trigger app_d before delete on subject begin delete from audit where code = old.code; end;
    """)
    journey.arrive(ROWS, "update subject set note = 'n' where id < 3", "delete from subject where id = 1")
    journey.arrive("replace into subject (id, code) values (2, 's9')", "update or replace subject set phone = 'p3'")


@ONLY_SQLITE
def test_what_a_temporary_trigger_writes_into_another_table_is_captured(start: Start) -> None:
    """One that writes into the row itself is not known to us: a known limitation."""
    log = Shape("log", ("code",), ("word",))
    schema = SCHEMA + "create table log (id {pk}, code text not null unique, word text);"
    journey = start(schema, {"subject": ["code"], "log": ["code"]}, SHAPE, log)
    journey.source.script("""
        create temporary trigger app after insert on main.subject begin
            insert or replace into log (code, word) values (new.phone, new.code); end;
    """)
    journey.arrive(ROWS)
    journey.arrive("insert or replace into subject (code, phone) values ('s9', 'p2')")
    assert journey.target.rows("select word from log where code = 'p2'") == [("s9",)]


# --- the order of several triggers on one event

RAISES = ["ignore", "fail, 'no'", "abort, 'no'", "rollback, 'no'"]


def raising(pair: Pair, folder: Path, trigger: str, *, early: bool) -> Journey:
    """Three subjects replicated, and a trigger of the application from before or after our installation."""
    for side in pair:
        side.script(SCHEMA)
    pair[0].script(trigger if early else "")
    config = write_config(folder, "laptop", *pair, {"subject": ["code"]})
    install(config)
    pair[0].script("" if early else trigger)
    journey = Journey(pair, config, (SHAPE,))
    journey.arrive(ROWS)
    return journey


def write_what_raises(journey: Journey) -> None:
    for values in ("'s4', 'p4', 'yes'), ('s5', 'p5', 'no'), ('s6', 'p6', 'yes'", "'s7', 'p1', 'no'"):
        with suppress(sqlite3.IntegrityError):
            journey.source.run(f"insert or replace into subject (code, phone, note) values ({values})")
    with suppress(sqlite3.IntegrityError):
        journey.source.run("update subject set note = 'no' where id < 3")
    with suppress(sqlite3.IntegrityError):
        journey.source.run("delete from subject where id > 1")


TRIGGER = "create trigger app_{0} {1} {0} on subject {2} begin select raise({3}); end;"


def raising_triggers(timing: str, raised: str) -> str:
    when = {"insert": "when new.note = 'no'", "update": "when new.note = 'no'", "delete": "when old.id = 3"}
    return "".join(TRIGGER.format(event, timing, condition, raised) for event, condition in when.items())


@ONLY_SQLITE
@pytest.mark.parametrize("raised", RAISES)
@pytest.mark.parametrize(("timing", "early"), [("before", True), ("before", False), ("after", True)])
def test_what_an_application_trigger_refuses_is_not_sent_and_the_rest_is(
    pair: Pair, tmp_path: Path, timing: str, early: bool, raised: str
) -> None:
    journey = raising(pair, tmp_path, raising_triggers(timing, raised), early=early)
    write_what_raises(journey)
    journey.arrive()


@ONLY_SQLITE
@pytest.mark.parametrize("raised", RAISES)
def test_an_application_trigger_that_fires_after_the_row_is_written_and_raises_hides_no_row_that_stays(
    pair: Pair, tmp_path: Path, raised: str
) -> None:
    """RAISE(IGNORE) and RAISE(FAIL) keep what is done, and keep the triggers from firing that come later: ours."""
    journey = raising(pair, tmp_path, raising_triggers("after", raised), early=False)
    write_what_raises(journey)
    journey.arrive()


# --- what the application sees of ours

STATEMENTS = (
    ROWS,
    "insert into subject (code) values ('s4')",
    "insert or replace into subject (code, phone) values ('s2', 'p1')",
    "insert or ignore into subject (code) values ('s3'), ('s5')",
    "insert or ignore into subject (code) values ('s3')",
    "insert into subject (code) values ('s3') on conflict (code) do update set note = 'met'",
    "update subject set note = 'n'",
    "update subject set note = 'n' where id = 999",
    "update or replace subject set phone = 'p3' where code = 's5'",
    "delete from subject where id < 3",
    "insert into subject (id, code) values (77, 's77')",
    "delete from subject",
    "replace into subject (code) values ('again')",
)


@ONLY_SQLITE
def test_the_application_reads_the_same_counts_and_numbers_as_without_us(
    pair: Pair, make_side: Make, tmp_path: Path
) -> None:
    """last_insert_rowid() and changes() are the application's own; total_changes() counts triggers' rows by design."""
    captured, alone = pair[0], make_side("sqlite", "alone")
    for side in (*pair, alone):
        side.script(SCHEMA)
    install(write_config(tmp_path, "laptop", *pair, {"subject": ["code"]}))
    seen: dict[str, list[object]] = {"captured": [], "alone": []}
    for statement in STATEMENTS:
        for name, side in (("captured", captured), ("alone", alone)):
            cursor = side.connection.execute(statement)
            counts = side.rows("select last_insert_rowid(), changes()")
            seen[name].append(
                (statement, cursor.rowcount, cursor.lastrowid, counts, side.rows("select * from subject"))
            )
    assert seen["captured"] == seen["alone"]


@ONLY_SQLITE
def test_a_trigger_of_the_application_reads_its_own_last_insert_rowid(subjects: Journey, make_side: Make) -> None:
    text = """
        create table log (id integer primary key, subject integer, changed integer);
        create trigger app after insert on subject begin
            insert into log (subject, changed) values (last_insert_rowid(), changes());
        end;
    """
    alone = make_side("sqlite", "alone")
    alone.script(SCHEMA)
    alone.run(ROWS)
    for side in (subjects.source, alone):
        side.script(text)
        side.run("insert into subject (id, code) values (50, 's50'), (60, 's60')")
        side.run("insert or replace into subject (code, phone) values ('s70', 'p2')")
    query = "select subject, changed from log order by id"
    assert subjects.source.rows(query) == alone.rows(query)
