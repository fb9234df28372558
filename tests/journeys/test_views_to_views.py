"""Views that are sent to views of the same name: two proxies of one table on both sides, with children and tools."""

from pathlib import Path
from typing import Any

import pytest

from cdc_sync import databases, verify
from tests.commands.conftest import run
from tests.conftest import Make
from tests.journeys.test_quiet_triggers import audit, seen
from tests.nodes import Side, install, letters, replicate, write_config

SCHEMA = """
create table site (id {pk}, code varchar(10) not null unique);
create table subject (id {pk}, code varchar(20) not null unique, kind varchar(10) not null, note text,
    weight integer, mother_id integer references subject (id), site_id integer references site (id));
create table appointment (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, unique (subject_id, number));
create view adult as select id, code, kind, note, site_id from subject where kind = 'adult';
create view infant as select id, code as infant_code, note as remark, weight, weight * 10 as tenth, mother_id
    from subject where kind = 'infant';
"""
TABLES: dict[str, Any] = {"site": ["code"], "appointment": ["subject_id", "number"]}
VIEWS: dict[str, Any] = {"infant": ["infant_code"], "adult": ["code"]}
SHOWN = {
    "infant": """select v.infant_code, v.remark, v.weight, v.tenth, m.code
        from infant v left join subject m on m.id = v.mother_id order by 1""",
    "adult": "select v.code, v.kind, v.note, s.code from adult v left join site s on s.id = v.site_id order by 1",
    "appointment": "select s.code, a.number from appointment a join subject s on s.id = a.subject_id order by 1, 2",
}
FIRST = (
    "insert into site (id, code) values (1, 'north')",
    "insert into subject (id, code, kind, site_id) values (1, 'm', 'adult', 1), (2, 'n', 'adult', null)",
    "insert into subject (id, code, kind, weight, mother_id) values (3, 'i', 'infant', 4, 1), (4, 'j', 'infant', 5, 2)",
    "insert into appointment (id, subject_id, number) values (1, 3, 1), (2, 3, 2), (3, 1, 1)",
)


class Clinic:
    def __init__(self, pair: tuple[Side, Side], folder: Path, **entry: str) -> None:
        self.source, self.target = pair
        for side in pair:
            side.script(SCHEMA)
        self.target.run("insert into subject (id, code, kind) values (500, 'x', 'adult')")
        views = {name: {"key": key, **entry} for name, key in VIEWS.items()}
        self.config = write_config(folder, "laptop", *pair, TABLES, views=views)
        install(self.config)

    def arrive(self, *statements: str) -> None:
        """Write in one transaction, replicate, and check that the server's views show what those here do."""
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)
        replicate(self.config)
        assert [letter.message for letter in letters(self.target)] == []
        for query in SHOWN.values():
            assert [row for row in self.target.rows(query) if row[0] != "x"] == self.source.rows(query)

    def verified(self) -> list[tuple[str, int, int, int]]:
        with databases.connect(self.config.node.database, self.config.folder) as database:
            found = verify.verify(database, self.config)
        return [(report.table, report.rows, report.missing, report.different) for report in found]


@pytest.fixture
def clinic(pair: tuple[Side, Side], tmp_path: Path) -> Clinic:
    return Clinic(pair, tmp_path)


def test_rows_of_both_views_and_their_children_arrive_in_the_table_behind_them(clinic: Clinic) -> None:
    clinic.arrive(*FIRST)
    clinic.arrive(
        "update subject set weight = 6, note = 'larger' where id = 3",
        "update subject set mother_id = 4 where id = 3",
        "update subject set mother_id = 3 where id = 4",
        "insert into subject (id, code, kind, mother_id) values (5, 'k', 'infant', 3)",
        "insert into appointment (id, subject_id, number) values (4, 5, 1)",
    )
    clinic.arrive("delete from subject where id = 5", "update subject set code = 'I' where id = 3")
    assert clinic.target.rows("select count(*) from subject") == [(5,)]


def test_rows_that_move_between_the_views_keep_what_hangs_on_them(clinic: Clinic) -> None:
    clinic.arrive(*FIRST)
    numbers = clinic.target.rows("select id from subject where code = 'i'")
    clinic.arrive("update subject set kind = 'adult', note = 'grown' where id = 3")
    clinic.arrive("update subject set kind = 'infant' where id = 2", "update subject set kind = 'infant' where id = 3")
    clinic.arrive("update subject set kind = case kind when 'adult' then 'infant' else 'adult' end where id in (2, 3)")
    clinic.arrive("update subject set kind = 'infant' where id = 3", "update subject set kind = 'adult' where id = 3")
    assert clinic.target.rows("select id from subject where code = 'i'") == numbers
    ours = "cdc_sync." if clinic.target.kind == "postgresql" else "cdc_sync_"
    assert clinic.target.rows(f"select kind from {ours}conflict") == []


@pytest.mark.parametrize("beside", ["", "a row that cannot be written"])
def test_a_row_that_moves_and_gets_another_key_stays_the_row_that_it_is(clinic: Clinic, beside: str) -> None:
    clinic.arrive(*FIRST)
    clinic.arrive("update subject set kind = 'adult', code = 'new' where id = 3")
    numbers = clinic.target.rows("select id from subject where code in ('m', 'new') order by code")
    if beside:
        clinic.target.run("create unique index one_weight on subject (weight) where weight = 77")
        clinic.target.run("update subject set weight = 77 where code = 'x'")
        clinic.source.run("insert into subject (id, code, kind, weight) values (9, 'dead', 'infant', 77)")
    clinic.source.run("update subject set kind = 'infant', code = 'back', weight = 4 where id = 3")
    clinic.source.run("update subject set kind = 'infant', code = 'mm' where id = 1")
    replicate(clinic.config)
    assert len(letters(clinic.target)) == bool(beside)
    assert clinic.target.rows("select id from subject where code in ('mm', 'back') order by code desc") == numbers
    assert clinic.target.rows(SHOWN["appointment"]) == clinic.source.rows(SHOWN["appointment"])


def test_verify_compares_what_the_views_show(clinic: Clinic) -> None:
    clinic.arrive(*FIRST)
    assert sorted(clinic.verified()) == [
        ("adult", 2, 0, 0),
        ("appointment", 3, 0, 0),
        ("infant", 2, 0, 0),
        ("site", 1, 0, 0),
    ]
    clinic.target.run("update subject set kind = 'adult' where code = 'i'")
    clinic.target.run("update subject set note = 'theirs', weight = 9 where code in ('m', 'j')")
    found = {table: wrong for table, _, *wrong in clinic.verified()}
    assert found["infant"] == [1, 1]
    assert found["adult"] == [0, 1]
    with databases.connect(clinic.config.node.database, clinic.config.folder) as database:
        verify.verify(database, clinic.config, repair=True)
    clinic.arrive()
    assert {table: wrong for table, _, *wrong in clinic.verified()}["infant"] == [0, 0]


def test_doctor_finds_nothing_that_needs_a_hand(clinic: Clinic) -> None:
    clinic.arrive(*FIRST)
    result = run("doctor", clinic.config)
    assert [line for line in result.stdout.splitlines() if line.startswith("! ")] == []
    assert "view 'infant' makes column 'tenth' by itself" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_triggers_of_the_table_keep_quiet_where_the_view_says_so(make_side: Make, tmp_path: Path, kind: str) -> None:
    quiet = Clinic((make_side("sqlite", "source"), make_side(kind, "target")), tmp_path, triggers="quiet")
    quiet.target.script("create table audit (id {pk}, what text)")
    audit(quiet.target, "subject")
    quiet.arrive(*FIRST)
    assert seen(quiet.target) == []
    quiet.target.run("update subject set note = 'x' where code = 'x'")
    assert seen(quiet.target) == ["subject update"]
