"""Traps of statements in SQLite: policies that outrank ours, cascades, counts that the application reads, order."""

import sqlite3
from pathlib import Path

import pytest

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.nodes import Shape, Side, by_natural_key, install, replicate, waiting, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, phone text unique, note text, age integer default 7);
"""
SHAPE = Shape("subject", ("code",), ("phone", "note", "age"))
ROWS = "insert into subject (id, code, phone) values (1, 's1', 'p1'), (2, 's2', 'p2'), (3, 's3', 'p3')"
NEEDS_RETURNING = pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="RETURNING came with SQLite 3.35")
ONLY_SQLITE = pytest.mark.parametrize("pair", ["sqlite"], indirect=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, make_side: Make) -> Pair:
    return make_side("sqlite", "source"), make_side(request.param, "target")


@pytest.fixture
def subjects(start: Start) -> Journey:
    """Three subjects, replicated."""
    journey = start(SCHEMA, {"subject": ["code"]}, SHAPE)
    journey.arrive(ROWS)
    return journey


def change_table(side: Side) -> str:
    return str(side.rows("select change_table from cdc_sync_captured where table_name = 'subject'")[0][0])


def noted(side: Side) -> list[tuple[str, str]]:
    """Operation and code of every change that waits, in order."""
    query = f"""
        select cdc_sync_op, code from "{change_table(side)}" where cdc_sync_seq > (
            select sealed from cdc_sync_captured where table_name = 'subject') order by cdc_sync_seq"""
    return [(op, code) for op, code in side.rows(query)]


# --- what happens to the rows before the one that fails

LEFT = {
    "fail": ["first", "s4", "s5"],
    "abort": ["first"],
    "rollback": [],
    "ignore": ["first", "s4", "s5", "s6"],
    "replace": ["first", "s4", "s5", "s6"],
}


@pytest.mark.parametrize("policy", LEFT)
def test_rows_before_a_failing_one_are_captured_if_they_stay(subjects: Journey, policy: str) -> None:
    """OR FAIL keeps them, OR ABORT takes the statement back, OR ROLLBACK the whole transaction."""
    source = subjects.source
    source.run("begin")
    source.run("insert into subject (code) values ('first')")
    rows = "('s4', 'p4'), ('s5', 'p5'), ('s2', 'p9'), ('s6', 'p6')"
    if policy in ("ignore", "replace"):
        source.run(f"insert or {policy} into subject (code, phone) values {rows}")
    else:
        with pytest.raises(sqlite3.IntegrityError):
            source.run(f"insert or {policy} into subject (code, phone) values {rows}")
    if source.connection.in_transaction:
        source.run("commit")
    replicate(subjects.config)
    kept = sorted(["s1", "s2", "s3", *LEFT[policy]])
    for side in (subjects.source, subjects.target):
        assert sorted(code for (code,) in side.rows("select code from subject")) == kept
    subjects.arrive()


@pytest.mark.parametrize("policy", ["fail", "abort", "rollback"])
def test_updates_before_a_failing_one_are_captured_if_they_stay(subjects: Journey, policy: str) -> None:
    source = subjects.source
    source.run("begin")
    source.run("update subject set note = 'first' where code = 's3'")
    with pytest.raises(sqlite3.IntegrityError):
        source.run(f"update or {policy} subject set note = 'n', phone = case id when 2 then 'p3' else 'x' || id end")
    if source.connection.in_transaction:
        source.run("commit")
    subjects.arrive()
    expected = {"fail": {"x1"}, "abort": {"p1"}, "rollback": {"p1"}}[policy] | {"p2", "p3"}
    assert {phone for (phone,) in subjects.target.rows("select phone from subject")} == expected


# --- an outer statement's policy also rules inside our triggers

POLICIES = ["", "or ignore", "or replace", "or fail", "or abort", "or rollback"]


@ONLY_SQLITE
@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_of_a_statement_can_drop_a_change_or_overwrite_an_older_one(subjects: Journey, policy: str) -> None:
    """Under INSERT OR IGNORE a change that violates a constraint vanishes, under OR REPLACE an older one does."""
    source = subjects.source
    source.run(f"insert {policy} into subject (code, phone, note, age) values ('a', null, null, null)")
    source.run(f"insert {policy} into subject (code, note, age) values ('b', x'00ff', 'no number'), ('', 1e999, -0.0)")
    source.run(f"update {policy} subject set note = null, phone = null")
    source.run(f"update {policy} subject set note = null, age = null")
    source.run("delete from subject")
    codes = [*("a", "b", ""), *(["s1", "s2", "s3", "a", "b", ""] * 3)]
    assert [code for op, code in noted(source) if op != "R"] == codes
    subjects.arrive()


@ONLY_SQLITE
def test_the_change_table_has_no_constraint_that_a_policy_could_act_on(subjects: Journey) -> None:
    """But its rowid; and SQLite finds a free one by itself."""
    table = change_table(subjects.source)
    columns = subjects.source.rows(f"select name, type, \"notnull\", dflt_value, pk from pragma_table_info('{table}')")
    assert columns[0] == ("cdc_sync_seq", "INTEGER", 0, None, 1)
    assert {column[1] for column in columns[1:]} == {"", "TEXT", "INTEGER"}
    assert {column[2:] for column in columns[1:]} == {(0, None, 0)}
    assert subjects.source.rows(f"select * from pragma_index_list('{table}')") == []
    assert subjects.source.rows(f"select * from pragma_foreign_key_list('{table}')") == []
    ((sql,),) = subjects.source.rows("select sql from sqlite_master where name = ?", (table,))
    assert "check" not in sql.lower()


# --- UPSERT, RETURNING, and other shapes of statements

SHAPES_OF_STATEMENTS = {
    "upsert": "insert into subject (code, age) values ('s2', 1), ('s9', 2) on conflict (code) do update set age = 50",
    "upsert of what was excluded": (
        "insert into subject (code, phone, age) values ('s1', 'p9', 30), ('s8', 'p8', 31)"
        " on conflict (code) do update set age = excluded.age + subject.age, phone = excluded.phone"
    ),
    "upsert of the key": (
        "insert into subject (code, phone) values ('s9', 'p2') on conflict (phone) do update set code = excluded.code"
    ),
    "upsert of the primary key": (
        "insert into subject (id, code) values (2, 's9') on conflict (id) do update set id = 77, code = 's77'"
    ),
    "upsert of some": (
        "insert into subject (code, age) values ('s1', 1), ('s2', 9)"
        " on conflict (code) do update set age = excluded.age where excluded.age > 5"
    ),
    "upsert of the same row twice": (
        "insert into subject (code, age) values ('s9', 1), ('s9', 2), ('s9', 3) on conflict (code) do update set"
        " age = subject.age * 10 + excluded.age, note = coalesce(note, '') || 'u'"
    ),
    "insert from a query": "insert into subject (code, note) select code || code, phone from subject",
    "insert with": "with n (x) as (values ('n1'), ('n2')) insert into subject (code) select x from n",
    "insert of defaults": "insert into subject (code) values ('s9')",
    "update with a subquery": "update subject set note = (select group_concat(code) from subject)",
    "update of a row value": "update subject set (code, phone) = (select code || '!', phone || '!')",
    "delete with a subquery": "delete from subject where id = (select max(id) from subject)",
    "delete with": "with n (x) as (values ('s1')) delete from subject where code in (select x from n)",
    "replace from a query": "replace into subject (code, phone) select 's9', phone from subject where id < 3",
}


@pytest.mark.parametrize("statement", SHAPES_OF_STATEMENTS.values(), ids=SHAPES_OF_STATEMENTS.keys())
def test_statements_of_every_shape_are_captured(subjects: Journey, statement: str) -> None:
    subjects.arrive(statement)
    assert waiting(subjects.config) == 0


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 33), reason="UPDATE FROM came with SQLite 3.33")
def test_update_from_is_captured(subjects: Journey) -> None:
    subjects.arrive(
        "update subject set code = f.column2, age = 9"
        " from (values ('s1', 'z1'), ('s2', 'z2')) f where subject.code = f.column1"
    )


RETURNING = (
    "insert into subject (code, phone) values ('s4', 'p4'), ('s5', 'p5') returning id, code, phone, age",
    "insert or replace into subject (code, phone) values ('s2', 'p4') returning id, code, phone, age",
    "insert or ignore into subject (code) values ('s2'), ('s6') returning id, code",
    "insert into subject (code) values ('s1') on conflict (code) do update set age = age + 1 returning age, note",
    "update subject set age = age * 2, code = code || 'x' where id < 4 returning id, code, age, note",
    "delete from subject where id > 2 returning *",
)


@NEEDS_RETURNING
@pytest.mark.parametrize("trigger", ["", "before ours", "after ours"])
def test_returning_tells_the_application_the_same_and_the_row_arrives_as_it_stands(
    pair: Pair, make_side: Make, tmp_path: Path, trigger: str
) -> None:
    """RETURNING shows values from before AFTER triggers ran; what those changed must arrive all the same."""
    text = "create trigger app after insert on subject begin update subject set note = 'by us' where id = new.id; end;"
    alone = make_side("sqlite", "alone")
    for side in (*pair, alone):
        side.script(SCHEMA)
    for side in (pair[0], alone):
        side.script(text if trigger == "before ours" else "")
    config = write_config(tmp_path, "laptop", *pair, {"subject": ["code"]})
    install(config)
    for side in (pair[0], alone):
        side.script(text if trigger == "after ours" else "")
    for statement in (ROWS, *RETURNING):
        assert pair[0].run(statement) == alone.run(statement)
        replicate(config)
        assert by_natural_key(pair[1], SHAPE) == by_natural_key(pair[0], SHAPE)


# --- transactions, and what they leave

SAVEPOINTS = (
    "savepoint outer_",
    "insert into subject (code) values ('kept')",
    "savepoint inner_",
    "insert into subject (code) values ('lost')",
    "update subject set note = 'lost' where code = 's1'",
    "delete from subject where code = 's2'",
    "insert or replace into subject (code, phone) values ('lost too', 'p3')",
    "rollback to inner_",
    "update subject set note = 'kept' where code = 's3'",
    "release inner_",
    "savepoint inner_",
    "update subject set code = 'also kept' where code = 's2'",
    "release inner_",
)


@pytest.mark.parametrize("end", ["release outer_", "rollback to outer_"])
def test_what_a_savepoint_takes_back_is_not_sent(subjects: Journey, end: str) -> None:
    source = subjects.source
    source.run("begin")
    for statement in (*SAVEPOINTS, end):
        source.run(statement)
    source.run("commit")
    subjects.arrive()
    codes = {code for (code,) in subjects.target.rows("select code from subject")}
    assert codes == {"s1", *(["kept", "also kept", "s3"] if end.startswith("release") else ["s2", "s3"])}


@ONLY_SQLITE
def test_what_is_rolled_back_leaves_no_change_and_no_gap_in_the_numbers(subjects: Journey) -> None:
    source = subjects.source
    (before,) = source.rows(f'select max(cdc_sync_seq) from "{change_table(source)}"')[0]
    source.run("begin")
    source.run("insert into subject (code) values ('s4'), ('s5')")
    source.run("rollback")
    assert noted(source) == []
    source.run("insert into subject (code) values ('s6')")
    assert source.rows(f'select max(cdc_sync_seq) from "{change_table(source)}"') == [(before + 1,)]
    subjects.arrive()


@ONLY_SQLITE
def test_a_number_is_not_used_twice_when_everything_is_sealed_and_cleared(subjects: Journey) -> None:
    """Without AUTOINCREMENT SQLite hands out the numbers of deleted rows again, if they were the last."""
    source, used = subjects.source, []
    for i in range(4):
        source.run("insert into subject (code) values (?)", (f"n{i}",))
        used += source.rows(f'select cdc_sync_seq from "{change_table(source)}" order by 1 desc limit 1')
        subjects.arrive()
    assert used == sorted(set(used))


@ONLY_SQLITE
def test_rows_that_come_and_go_within_one_transaction_leave_the_server_alone(subjects: Journey) -> None:
    before = subjects.ids("subject")
    subjects.arrive("insert into subject (code) values ('gone')", "delete from subject where code = 'gone'")
    assert subjects.ids("subject") == before


def test_many_changes_of_one_row_arrive_in_order_although_the_clock_goes_back(subjects: Journey) -> None:
    """Within a statement, and within a millisecond, the clock stands still; and a laptop's may say 1970 afterwards."""
    source = subjects.source
    with source.transaction():
        for i in range(200):
            source.run("update subject set age = ?, note = note || 'x' where code = 's1'", (i,))
            source.run("update subject set code = ? where id = 2", (f"r{i % 7}",))
    source.run(f'update "{change_table(source)}" set cdc_sync_captured_at = 2440587.5 - cdc_sync_seq')
    subjects.arrive()
    assert subjects.target.rows("select age from subject where code = 's1'") == [(199,)]


def test_a_cleared_value_is_not_taken_for_one_that_did_not_change(subjects: Journey) -> None:
    subjects.arrive("update subject set note = 'n', age = 5")
    subjects.arrive("update subject set note = null where code = 's1'", "update subject set age = null where id = 2")
    rows = subjects.target.rows("select code, phone, note, age from subject order by code")
    assert rows == [("s1", "p1", None, 5), ("s2", "p2", "n", None), ("s3", "p3", "n", 5)]
