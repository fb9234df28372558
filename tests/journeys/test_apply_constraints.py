"""What a target's own constraints, numbers, columns and triggers make of applied rows.

Where the scenarios about apply of the notes are tested (s: symmetricds.md, section 6; p: postgres-cdc.md, sections 4, 7
to 9). Modules are named without ``test_``; those of apply are ``apply_constraints``, ``apply_conflicts`` and
``apply_failures``.

| scenario | tested in |
|---|---|
| s1 to s10, p1 to p25: types and values | values_in_postgresql, values_in_sqlite, values_between_kinds |
| s2, s16, p45: a megabyte, 200 columns | apply_constraints: a_wide_row_of_long_values_arrives |
| s11, p26, p8.8: identity, generated, defaults | values_in_postgresql, columns |
| s11, p8.9: sequences behind the rows | apply_constraints: the_targets_own_numbers_go_on... |
| s12 to s14, p27: names | columns, traps_in_sqlite_keys_and_names |
| s17, p33: natural key, through foreign keys | natural_keys: a_key_through_three_foreign_keys_finds_the_row |
| s18, p32: keys of every type, collations | values_as_keys, keys_between_kinds; ...nondeterministic_collation... |
| s18, p32: a key that may be null | commands/unfit_databases (refused by name) |
| p32: nulls not distinct | apply_constraints: values_change_hands... |
| s20, p31: extra, missing, reordered columns | apply_constraints: columns_of_the_targets_own... |
| s22, p28: a target in partitions | apply_constraints: rows_move_between_the_partitions..., ...no_partition... |
| s24, p34: keys change, swap, shift | changed_keys, values_as_keys, traps_in_postgresql_constraints |
| s25, p34: delete and enter again | changed_keys: ...entered_again...; apply_conflicts: ...across_batches... |
| s26: update, delete of a missing row, insert of an existing one | conflicts |
| s27, p42: truncate, bulk, upsert | traps_in_postgresql_truncate, traps_in_postgresql_statements |
| s35, p40: children first, trees, deferred keys | natural_keys, traps_in_postgresql_constraints, letters: ORPHAN |
| s35, p40: circles that may not be null | apply_constraints: rows_that_need_each_other_arrive |
| s36, p7: same row on both sides, names of conflicts | conflicts |
| s37: update and delete, both orders | apply_conflicts: an_update_and_a_delete..., ...older_than_its_deletion... |
| s38: clocks a day wrong, equal times | apply_conflicts: a_clock_that_is_a_day_wrong...; conflicts: at_equal_times... |
| s39: the loser's log was purged | apply_conflicts: a_laptop_that_was_away_for_long... |
| s40: unique collision, chains, no unrequested delete | apply_conflicts: a_unique_value_that_another_nodes_row_has... |
| s40, p41, p4.3, p8.5: unique values change hands | unique_values; apply_constraints: values_change_hands... |
| s42: three nodes end alike | apply_conflicts: three_nodes...; ...deleted_itself... is expected to fail |
| s43, p44: killed at each commit | crash; apply_failures: killed_at_every_commit... |
| s44, p8.6: twice, lost, reordered, damaged | apply_failures: batches_that_come_twice...; core/chain, core/wire |
| s46: error, then success; other keys go on | letters; apply_constraints: a_value_that_only_the_target... |
| s48, p43: loops, equal and different values | apply_conflicts: two_nodes_that_send_to_each_other... |
| s52: locks, deadlock, serialization, disk, read-only | apply_failures |
| p4.1, p8.5, p8.6: set-based, idempotent apply | random, random_sqlite, random_postgresql, streams |
| p8.7: triggers of the target | apply_constraints: a_trigger_of_the_targets_own..., ...keeps_out... |
"""

from collections.abc import Iterable
from pathlib import Path

import pytest
import sqlalchemy as sa

from cdc_sync import config as configuration
from cdc_sync.config import Config
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair
from tests.nodes import Shape, compare, install, letters, replicate, write_config


class Clinic:
    """A node whose server has constraints that it has not; ``arrive`` leaves nothing behind."""

    def __init__(
        self, pair: Pair, folder: Path, here: str, there: str, *shapes: Shape, **tables: Iterable[str]
    ) -> None:
        self.source, self.target = pair
        self.source.script(here)
        self.target.script(there)
        self.shapes = shapes
        keys = {table: list(key) for table, key in tables.items()}
        self.config: Config = write_config(folder, "laptop", *pair, keys)
        install(self.config)

    def write(self, *statements: str) -> None:
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)

    def arrive(self, *statements: str) -> None:
        self.write(*statements)
        replicate(self.config)
        assert [letter.message for letter in letters(self.target)] == []
        compare(self.source, self.target, *self.shapes)


# --- unique values under every kind of constraint (postgres-cdc 41, 4.3; symmetricds 40)

SUBJECT = "create table subject (id {pk}, code varchar(9) not null unique, phone varchar(9), bed integer not null);"
HELD = Shape("subject", ("code",), ("phone", "bed"))
UNIQUES = {
    "checked at once": "create unique index on subject (phone); create unique index on subject (bed)",
    "deferrable": "alter table subject add unique (phone) deferrable, add unique (bed) deferrable",
    "deferred": "alter table subject add unique (phone) deferrable initially deferred, "
    "add unique (bed) deferrable initially deferred",
    "nulls not distinct": "create unique index on subject (phone) nulls not distinct",
    "an expression": "create unique index on subject (lower(phone)); create unique index on subject (abs(bed))",
    "a part": "create unique index on subject (phone) where bed >= 0; create unique index on subject (bed) "
    "where code <> 'x'",
    "a stored column": "alter table subject add dial text generated always as ('+' || phone) stored unique, "
    "add place integer generated always as (bed * 2) stored unique",
    "exclusion": "alter table subject add exclude using btree (phone with =), add exclude using btree (bed with =)",
}
LITE = {
    "checked at once": "create unique index p on subject (phone); create unique index b on subject (bed)",
    "an expression": "create unique index p on subject (lower(phone)); create unique index b on subject (abs(bed))",
    "a part": "create unique index p on subject (phone) where bed >= 0; create unique index b on subject (bed) "
    "where code <> 'x'",
    "a virtual column": "alter table subject add dial text generated always as ('+' || phone) virtual;"
    "alter table subject add place integer generated always as (bed * 2) virtual;"
    "create unique index p on subject (dial); create unique index b on subject (place)",
}
HANDS = {
    "a swap": ["update subject set bed = 3 - bed, phone = 'p' || (3 - bed) where code in ('s1', 's2')"],
    "a ring": ["update subject set bed = bed % 3 + 1, phone = 'p' || (bed % 3 + 1) where code <> 's4'"],
    "a swap with a null": [
        "update subject set phone = null where code = 's1'",
        "update subject set phone = (select 'p' || bed from subject where code = 's1') where code = 's4'",
    ],
    "from a deleted row": [
        "insert into subject (id, code, phone, bed) select 9, 's9', phone, bed from subject where code = 's2'",
        "delete from subject where code = 's2'",
    ],
    "from a renamed row": [
        "insert into subject (id, code, phone, bed) select 10, 's10', phone, bed from subject where code = 's3'",
        "update subject set code = 's8', phone = 'p8', bed = 8 where code = 's3'",
    ],
}
SUBJECTS = [f"insert into subject (id, code, phone, bed) values ({i}, 's{i}', 'p{i}', {i})" for i in (1, 2, 3)]
SUBJECTS += ["insert into subject (id, code, bed) values (4, 's4', 44)"]


@pytest.mark.parametrize(
    ("there", "unique"), [*(("postgresql", name) for name in UNIQUES), *(("sqlite", name) for name in LITE)]
)
def test_values_change_hands_within_a_batch_whatever_makes_them_unique(
    make_side: Make, tmp_path: Path, there: str, unique: str
) -> None:
    """postgres-cdc 41 and 8.5, symmetricds 40: nobody is deleted for it."""
    pair = make_side("sqlite", "source"), make_side(there, "target")
    constraint = {"postgresql": UNIQUES, "sqlite": LITE}[there][unique]
    clinic = Clinic(pair, tmp_path, SUBJECT, SUBJECT + constraint, HELD, subject=["code"])
    clinic.arrive(*SUBJECTS)
    for story in HANDS.values():
        before = dict(clinic.target.rows("select code, id from subject"))
        clinic.arrive(*story)
        after = dict(clinic.target.rows("select code, id from subject"))
        assert all(before[code] == after[code] for code in before.keys() & after.keys())
    assert after["s8"] == before["s3"]


# --- numbers that the target hands out

NUMBERS = {
    "serial": "create table place (id serial primary key, receipt serial unique, note text)",
    "identity": "create table place (id bigint generated by default as identity primary key,"
    " receipt integer generated by default as identity unique, note text)",
    "identity always": "create table place (id integer generated always as identity primary key,"
    " receipt integer generated always as identity unique, note text)",
    "a sequence in steps": "create sequence odd start 1 increment 2; create sequence numbers start 3;"
    "create table place (id integer primary key default nextval('odd'),"
    " receipt integer unique default nextval('numbers'), note text)",
    "rowid": "create table place (id integer primary key, receipt integer unique, note text)",
    "autoincrement": "create table place (id integer primary key autoincrement, receipt integer unique, note text)",
}


@pytest.mark.parametrize("numbers", NUMBERS)
def test_the_targets_own_numbers_go_on_after_those_that_arrived(make_side: Make, tmp_path: Path, numbers: str) -> None:
    """postgres-cdc 8.9, symmetricds 11: the key itself travels, and the server's next row must not collide."""
    there = "sqlite" if numbers in ("rowid", "autoincrement") else "postgresql"
    pair = make_side("sqlite", "source"), make_side(there, "target")
    here = "create table place (id integer primary key, receipt integer unique, note text)"
    clinic = Clinic(pair, tmp_path, here, NUMBERS[numbers], Shape("place", ("id",), ("receipt", "note")), place=["id"])
    clinic.arrive("insert into place values (1, 1, 'a'), (2, 2, 'b'), (5000, 3, 'c')")
    for _ in range(3):
        clinic.target.run("insert into place (note) values ('own')")
    own = [id_ for (id_,) in clinic.target.rows("select id from place where note = 'own' order by id")]
    assert own == ([5001, 5003, 5005] if numbers == "a sequence in steps" else [5001, 5002, 5003])
    clinic.write("insert into place values (9000, 2000, 'd')", "insert into place (id, note) values (5009, 'e')")
    replicate(clinic.config)
    clinic.target.run("insert into place (note) values ('own')")
    assert clinic.target.rows("select max(id) from place") == [(9001,)]


def test_a_role_that_may_not_move_a_sequence_is_told_so_and_applies_all_the_same(
    make_side: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    role = f"{sa.make_url(target.url).database}_modest"
    source.script("create table place (id integer primary key, note text)")
    target.script(NUMBERS["identity"])
    target.script(f"create role {role} login; grant all on schema public to {role}; grant all on place to {role}")
    target.script(f"grant create on database {sa.make_url(target.url).database} to {role}")
    config = write_config(tmp_path, "laptop", source, target, {"place": ["id"]})
    url = sa.make_url(target.url).set(username=role).render_as_string(hide_password=False)
    config.path.write_text(config.path.read_text(encoding="utf-8").replace(target.url, url), encoding="utf-8")
    config = configuration.load(config.path)
    install(config)
    source.run("insert into place values (1, 'a')")
    try:
        replicate(config)
    finally:
        target.script(f"drop owned by {role} cascade; drop role {role}")
    assert target.rows("select note from place") == [("a",)]
    assert "grant usage, update on its sequence" in caplog.text


# --- foreign keys that lead round in a circle

CIRCLE = """
create table ward (id {pk}, code varchar(9) not null unique, head integer not null {head});
create table nurse (id {pk}, code varchar(9) not null unique, ward integer not null references ward (id)
    deferrable initially deferred, mentor integer not null references nurse (id) deferrable initially deferred);
"""
HEAD = "references nurse (id) deferrable initially deferred"


def test_rows_that_need_each_other_arrive(pair: Pair, tmp_path: Path) -> None:
    """symmetricds 35, postgres-cdc 40: a circle of foreign keys that may not be null, and a row that needs itself."""
    for side in pair:
        side.script(CIRCLE.replace("{head}", HEAD if side.kind == "sqlite" else ""))
        if side.kind == "postgresql":
            side.script(f"alter table ward add foreign key (head) {HEAD}")
    pair[1].script(
        "begin; insert into ward (id, code, head) values (70, 'own', 80);"
        "insert into nurse (id, code, ward, mentor) values (80, 'own', 70, 80); commit"
    )
    config = write_config(tmp_path, "laptop", *pair, {"ward": ["code"], "nurse": ["code"]})
    install(config)
    shapes = (
        Shape("ward", ("code",), ("head>nurse.code",)),
        Shape("nurse", ("code",), ("ward>ward.code", "mentor>nurse.code")),
    )
    journey = Journey(pair, config, shapes)
    journey.arrive(
        "insert into ward (id, code, head) values (1, 'a', 1), (2, 'b', 3)",
        "insert into nurse (id, code, ward, mentor) values (1, 'n1', 1, 2), (2, 'n2', 1, 1), (3, 'n3', 2, 3)",
    )
    journey.arrive("update ward set head = 2 where id = 1", "update nurse set mentor = 3, ward = 2 where id = 1")
    journey.arrive("delete from nurse where id in (1, 2)", "delete from ward where id = 1")
    assert letters(pair[1]) == []


# --- columns and values

OWN_COLUMNS = """
create table subject (ward varchar(9) not null default 'w', phone varchar(9), note text not null default 'n',
    code varchar(9) not null unique, id {pk}, bed integer not null check (bed < 90));
"""


def test_columns_of_the_targets_own_get_their_defaults_and_keep_their_values(pair: Pair, tmp_path: Path) -> None:
    """symmetricds 20, postgres-cdc 31: other columns, in another order, some of them required."""
    clinic = Clinic(pair, tmp_path, SUBJECT, OWN_COLUMNS, HELD, subject=["code"])
    clinic.arrive(*SUBJECTS[:2])
    clinic.target.run("update subject set ward = 'x' where code = 's1'")
    clinic.arrive("update subject set bed = 7", "update subject set code = 's7' where code = 's1'", SUBJECTS[2])
    found = set(clinic.target.rows("select code, ward, note from subject"))
    assert found == {("s7", "x", "n"), ("s2", "w", "n"), ("s3", "w", "n")}


def test_a_value_that_only_the_target_requires_or_forbids_puts_its_row_aside_and_no_other(
    pair: Pair, tmp_path: Path
) -> None:
    """symmetricds 46: error, then success; an error of one row blocks no other key."""
    there = OWN_COLUMNS.replace("phone varchar(9)", "phone varchar(9) not null")
    clinic = Clinic(pair, tmp_path, SUBJECT, there, HELD, subject=["code"])
    clinic.write(*SUBJECTS, "insert into subject (id, code, phone, bed) values (5, 's5', 'p5', 95)")
    (delivered,) = replicate(clinic.config)
    assert delivered.waiting == {"dead": 2}
    assert sorted(clinic.target.rows("select code from subject")) == [("s1",), ("s2",), ("s3",)]
    clinic.arrive("update subject set phone = 'p', bed = 5 where code in ('s4', 's5')")


@pytest.mark.parametrize("pair", ["sqlite-postgresql", "postgresql-sqlite"], indirect=True)
def test_a_wide_row_of_long_values_arrives(pair: Pair, tmp_path: Path) -> None:
    """symmetricds 2 and 16, postgres-cdc 45: 200 columns, and texts of a megabyte."""
    names = [f"c{i}" for i in range(198)]
    schema = f"create table wide (id {{pk}}, code varchar(9) not null unique, {', '.join(f'{n} text' for n in names)});"
    clinic = Clinic(pair, tmp_path, schema, schema, Shape("wide", ("code",), tuple(names)), wide=["code"])
    clinic.source.run(f"insert into wide (code, {', '.join(names)}) values ('a', {', '.join(['?'] * 198)})", names)
    clinic.arrive()
    long = "long \u20ac" * 150_000
    clinic.source.run("update wide set c0 = ?, c197 = ? where code = 'a'", (long, long[1:]))
    clinic.source.run("insert into wide (code, c1) values ('b', ?)", (long,))
    clinic.arrive()


def test_a_key_that_the_server_compares_by_a_nondeterministic_collation_finds_its_row(
    make_side: Make, tmp_path: Path
) -> None:
    """postgres-cdc 32: to the server "ab" is "AB", and the row is one."""
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    if not pair[1].rows("select from pg_collation where collprovider = 'i' limit 1"):
        pytest.skip("this server was built without ICU, and has no such collation")
    collation = "create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
    there = collation + SUBJECT.replace("code varchar(9)", "code varchar(9) collate loose")
    clinic = Clinic(pair, tmp_path, SUBJECT, there, HELD, subject=["code"])
    clinic.target.run("insert into subject (id, code, bed) values (70, 'AB', 0)")
    clinic.arrive("insert into subject (id, code, bed) values (1, 'ab', 1)")
    clinic.arrive("update subject set code = 'Ab', bed = 2")
    assert clinic.target.rows("select id, code, bed from subject") == [(70, "Ab", 2)]
    clinic.arrive("delete from subject")


# --- partitions

PARTED = """
create table visit (id bigint generated by default as identity, year integer not null, code text not null, note text,
    primary key (id, year), unique (code, year)) partition by range (year);
create table visit_old (note text, code text not null, year integer not null, id bigint not null);
alter table visit attach partition visit_old for values from (0) to (2000);
create table visit_new partition of visit for values from (2000) to (2100) partition by range (year);
create table visit_new_a partition of visit_new for values from (2000) to (2002);
create table visit_new_b partition of visit_new default;
create table lab (id {pk}, visit_id bigint, year integer, tube text not null unique,
    foreign key (visit_id, year) references visit (id, year) on update cascade);
"""
UNPARTED = """
create table visit (id integer not null, year integer not null, code text not null, note text,
    primary key (id, year), unique (code, year));
create table lab (id {pk}, visit_id integer, year integer, tube text not null unique,
    foreign key (visit_id, year) references visit (id, year) on update cascade);
"""


def test_rows_move_between_the_partitions_of_a_target(make_side: Make, tmp_path: Path) -> None:
    """postgres-cdc 28: columns of leaves in another order, partitions of partitions, and children that follow."""
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    via = "visit_id,year>visit(id,year)"
    shapes = Shape("visit", ("code", "year"), ("note",)), Shape("lab", ("tube",), (f"{via}.code", f"{via}.year"))
    clinic = Clinic(pair, tmp_path, UNPARTED, PARTED, *shapes, visit=["code", "year"], lab=["tube"])
    clinic.arrive(
        "insert into visit values (1, 1999, 'a', 'x'), (2, 2001, 'a', 'y'), (3, 2001, 'b', 'z')",
        "insert into lab values (1, 1, 1999, 't1'), (2, 2, 2001, 't2')",
    )
    clinic.arrive("update visit set year = 2002, note = 'moved' where id = 1", "update visit set note = 'n'")
    clinic.arrive("update visit set code = 'c' where id = 2", "update visit set year = 1990 where id = 3")
    clinic.arrive("delete from lab where id = 1", "delete from visit where id = 1")


def test_a_row_for_which_the_target_has_no_partition_is_put_aside(make_side: Make, tmp_path: Path) -> None:
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    shape = Shape("visit", ("code", "year"), ("note",))
    clinic = Clinic(pair, tmp_path, UNPARTED, PARTED, shape, visit=["code", "year"])
    clinic.write("insert into visit values (1, 2200, 'a', 'x'), (2, 1999, 'a', 'y')")
    (delivered,) = replicate(clinic.config)
    assert delivered.waiting == {"dead": 1}
    clinic.target.run("create table visit_far partition of visit for values from (2100) to (3000)")
    clinic.arrive("update visit set note = 'again' where id = 1")


# --- triggers of the target's own

AUDIT = {
    "postgresql": """
    create table audit (op text, code text);
    create function audit() returns trigger language plpgsql as $$ begin
        insert into audit values (left(tg_op, 1), coalesce(new.code, old.code)); return null; end $$;
    create trigger audit after insert or update or delete on subject for each row execute function audit();
    """,
    "sqlite": """
    create table audit (op text, code text);
    create trigger audit_i after insert on subject begin insert into audit values ('I', new.code); end;
    create trigger audit_u after update on subject begin insert into audit values ('U', new.code); end;
    create trigger audit_d after delete on subject begin insert into audit values ('D', old.code); end;
    """,
}


def test_a_trigger_of_the_targets_own_fires_once_for_each_applied_row(pair: Pair, tmp_path: Path) -> None:
    """postgres-cdc 8.7: they fire, as for any other program that writes there."""
    clinic = Clinic(pair, tmp_path, SUBJECT, SUBJECT, HELD, subject=["code"])
    clinic.target.script(AUDIT[clinic.target.kind])
    clinic.arrive(*SUBJECTS[:3])
    clinic.arrive("update subject set bed = 9 where code = 's1'", "update subject set bed = 8 where code = 's1'")
    clinic.arrive("delete from subject where code = 's2'")
    assert sorted(clinic.target.rows("select op, code from audit")) == [
        ("D", "s2"),
        ("I", "s1"),
        ("I", "s2"),
        ("I", "s3"),
        ("U", "s1"),
    ]


def test_a_trigger_that_asks_for_the_mute_keeps_quiet_for_applied_rows_only(make_side: Make, tmp_path: Path) -> None:
    pair = make_side("sqlite", "source"), make_side("postgresql", "target")
    clinic = Clinic(pair, tmp_path, SUBJECT, SUBJECT, HELD, subject=["code"])
    quiet = "when (current_setting('cdc_sync.mute', true) is distinct from 'on') execute"
    clinic.target.script(AUDIT["postgresql"].replace("execute", quiet))
    clinic.arrive(*SUBJECTS[:3])
    assert clinic.target.rows("select op from audit") == []
    clinic.target.run("update subject set bed = bed")
    assert {op for (op,) in clinic.target.rows("select op from audit")} == {"U"}


SWALLOW = {
    "postgresql": """
    create function swallow() returns trigger language plpgsql as
        $$ begin if new.code = 's2' then {what}; end if; return new; end $$;
    create trigger swallow before insert on subject for each row execute function swallow();
    """,
    "sqlite": "create trigger swallow before insert on subject when new.code = 's2' begin select {what}; end;",
}
WHATS = {
    "raises": {"postgresql": "raise exception 'no'", "sqlite": "raise(abort, 'no')"},
    "swallows": {"postgresql": "return null", "sqlite": "raise(ignore)"},
}


@pytest.mark.parametrize("what", WHATS)
def test_a_row_that_a_trigger_of_the_targets_own_keeps_out_is_put_aside_and_told(
    pair: Pair, tmp_path: Path, what: str
) -> None:
    clinic = Clinic(pair, tmp_path, SUBJECT, SUBJECT, HELD, subject=["code"])
    kind = clinic.target.kind
    clinic.target.script(SWALLOW[kind].replace("{what}", WHATS[what][kind]))
    clinic.write(*SUBJECTS)
    (delivered,) = replicate(clinic.config)
    assert delivered.waiting == {"dead": 1}
    assert sorted(clinic.target.rows("select code from subject")) == [("s1",), ("s3",), ("s4",)]
    clinic.target.run("drop trigger swallow" + (" on subject" if kind == "postgresql" else ""))
    clinic.arrive("update subject set bed = 50 where code = 's2'")
