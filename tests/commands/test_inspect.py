"""inspect shows what lies here and is on its way, and holds scanned identifiers against it; it changes nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cdc_sync import cli, databases, held, receive
from cdc_sync import config as configuration
from cdc_sync.config import Config
from cdc_sync.databases import Database, Mode
from tests.commands.conftest import complaint, everything, run, untouched
from tests.conftest import Make
from tests.nodes import Side, install, replicate, write_config

SPECIMENS = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    unique (subject_id, number));
create table specimen (id {pk}, label text not null unique, visit_id integer references visit (id), drawn text);
"""
KEYS = {"subject": ["code"], "visit": ["subject_id", "number"], "specimen": ["label"]}
WAITING = '[[destinations]]\nname = "community"\n'


@dataclass
class Field:
    """A laptop that seals and reaches nobody, and a driver's database to which its batches are brought."""

    laptop: Config
    driver: Config
    side: Side
    car: Side
    source: Database
    target: Database

    def seal(self, *statements: str) -> None:
        with self.side.transaction():
            for statement in statements:
                self.side.run(statement)
        replicate(self.laptop)

    def bring(self) -> None:
        with self.source.begin(Mode.READ) as session:
            name, epoch, _ = session.run("node")[0]
        stored = receive.position(self.target, name, epoch).stored
        for batch in held.after(self.source, name, epoch, stored):
            receive.store(self.target, batch.sealed, batch.parts())

    def look(self, command: str, config: Config | None = None) -> Any:
        result = run(f"inspect {command} --json", config or self.driver)
        assert result.exit_code == 0, everything(result)
        return json.loads(result.stdout)

    def scan(self, place: str, *lines: str, options: str = "") -> tuple[int, dict[str, list[str]]]:
        command = f"inspect {place} --reconcile - --json {options} --config {self.driver.path}".split()
        result: Result = CliRunner().invoke(cli.main, command, input="\n".join(lines))
        assert result.exit_code in (0, 3), everything(result)
        return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def field(make_side: Make, tmp_path: Path, kind: str) -> Iterator[Field]:
    side, car = make_side(kind, "laptop"), make_side("sqlite" if kind == "postgresql" else "postgresql", "car")
    side.script(SPECIMENS)
    laptop, driver = write_config(tmp_path, "laptop", side, {}, KEYS), write_config(tmp_path, "driver", car, {}, {})
    laptop.path.write_text(laptop.path.read_text() + WAITING)
    laptop = configuration.load(laptop.path)
    install(laptop)
    with databases.connect(side.url) as source, databases.connect(car.url) as target:
        receive.prepare(target)
        yield Field(laptop, driver, side, car, source, target)


BEGINNING = (
    "insert into subject (id, code, note) values (7, 's1', null), (8, 's2', 'a \t b \\ ü')",
    "insert into visit (id, subject_id, number) values (70, 7, 1), (80, 8, 1)",
    "insert into specimen (id, label, visit_id) values (1, 'L1', 70), (2, 'L2', 70), (3, 'L3', null)",
)


def test_what_lies_here_is_counted_by_origin_table_and_operation(field: Field) -> None:
    field.seal(*BEGINNING)
    field.seal("update subject set note = 'x' where id = 7", "delete from specimen where id = 3")
    field.bring()
    counts = {"subject": {"insert": 2, "update": 1}, "visit": {"insert": 2}, "specimen": {"insert": 3, "delete": 1}}
    for config, own in ((field.laptop, True), (field.driver, False)):
        (chain,) = field.look("", config)
        assert (chain["origin"], chain["first"], chain["last"], chain["own"]) == ("laptop", 1, 2, own)
        assert chain["tables"] == counts
    text = run("inspect", field.driver).stdout
    assert "laptop: batches 1 to 2" in text
    assert "subject: 2 inserts, 1 update" in text
    assert field.look("--origin somebody") == []


def test_rows_are_shown_with_their_parents_keys_in_place_of_local_ids(field: Field) -> None:
    field.seal(*BEGINNING)
    field.bring()
    for config in (field.laptop, field.driver):
        found = field.look("specimen", config)
        assert found["more"] == 0
        columns = [row["columns"] for row in found["rows"]]
        assert list(columns[0]) == ["id", "label", "visit_id>subject_id>code", "visit_id>number", "drawn"]
        shown = [[None if v is None else str(v) for v in list(row.values())[1:]] for row in columns]
        assert shown == [["L1", "s1", "1", None], ["L2", "s1", "1", None], ["L3", None, None, None]]
    text = run("inspect subject", field.driver).stdout
    assert "insert by laptop, batch 1" in text
    assert "    note = null" in text
    assert "    note = a \t b \\ ü" in text


def test_rows_are_found_by_their_values(field: Field) -> None:
    field.seal(*BEGINNING)
    field.bring()

    def labels(*options: str) -> list[str]:
        result = run("inspect specimen --json", field.driver, *options)
        return [row["columns"]["label"] for row in json.loads(result.stdout)["rows"]]

    assert labels("--where", "visit_id>subject_id>code=s1", "--where", "label = L2") == ["L2"]
    assert labels("--where", "visit_id>number=") == ["L3"]
    assert labels("--where", "label=L9") == []
    assert [row["columns"]["number"] for row in field.look("visit --where subject_id=s2")["rows"]] in ([1], ["1"])
    limited = field.look("specimen --limit 2")
    assert ([row["columns"]["label"] for row in limited["rows"]], limited["more"]) == (["L1", "L2"], 1)
    assert "1 row more; --limit 0" in run("inspect specimen --limit 2", field.driver).stdout
    assert len(field.look("specimen --limit 0")["rows"]) == 3


def test_a_deleted_row_is_shown_by_its_key(field: Field) -> None:
    field.seal(*BEGINNING)
    field.seal("delete from visit where id = 80")
    field.bring()
    (gone,) = [row for row in field.look("visit")["rows"] if row["operation"] == "delete"]
    assert (gone["columns"]["subject_id>code"], str(gone["columns"]["number"])) == ("s2", "1")


def test_scanned_labels_are_held_against_what_is_carried(field: Field) -> None:
    field.seal(*BEGINNING)
    field.bring()
    assert field.scan("specimen.label", "L3", "L1", " L2 ", "") == (
        0,
        {"matched": ["L1", "L2", "L3"], "missing": [], "unexpected": [], "duplicates": []},
    )
    assert field.scan("specimen.label", "L1", "L1", "L9") == (
        3,
        {"matched": ["L1"], "missing": ["L2", "L3"], "unexpected": ["L9"], "duplicates": ["L1"]},
    )
    assert field.scan("visit.subject_id", "s1", "s2")[0] == 0
    assert field.scan("specimen.label", "L1", "L2", "L3", options="--origin laptop")[0] == 0
    assert field.scan("specimen.label", "L1", options="--origin somebody") == (
        3,
        {"matched": [], "missing": [], "unexpected": ["L1"], "duplicates": []},
    )


def test_the_report_of_a_scan_is_readable_and_read_from_a_file(field: Field, tmp_path: Path) -> None:
    field.seal(*BEGINNING)
    field.bring()
    scanned = tmp_path / "scanned.txt"
    scanned.write_text("L1\r\nL1\r\nL9\r\n", encoding="utf-8")
    result = run(f"inspect specimen.label --reconcile {scanned}", field.driver)
    assert result.exit_code == 3
    assert result.stdout.splitlines() == [
        "1 matched",
        "2 missing: carried, and not scanned",
        "  L2",
        "  L3",
        "1 unexpected: scanned, and not carried",
        "  L9",
        "1 scanned more than once",
        "  L1",
    ]
    scanned.write_bytes(b"\xff\xfe\n")
    error, _ = complaint(run(f"inspect specimen.label --reconcile {scanned}", field.driver))
    assert "UTF-8" in error


def test_what_a_row_came_to_is_expected_whatever_it_was_before(field: Field) -> None:
    """Labels that were corrected, rows that were deleted, deleted and entered again, or changed places."""
    field.seal(*BEGINNING, "insert into specimen (id, label) values (4, 'L4'), (5, 'L5')")
    field.seal("update specimen set label = 'L1b' where id = 1", "delete from specimen where id = 3")
    field.seal(
        "update specimen set label = 'L1c' where id = 1",
        "delete from specimen where id = 2",
        "insert into specimen (id, label) values (2, 'L2')",
    )
    field.seal("update specimen set id = id + 100", "update specimen set id = id - 99")
    field.seal("update specimen set drawn = 'today' where label = 'L5'")
    field.bring()
    assert field.scan("specimen.label", "L1c", "L2", "L4", "L5") == (
        0,
        {"matched": ["L1c", "L2", "L4", "L5"], "missing": [], "unexpected": [], "duplicates": []},
    )


@pytest.mark.parametrize(
    ("command", "said", "hint"),
    [
        ("specimens", "no batch that lies here speaks of table 'specimens'", "specimen"),
        ("specimen --where labl=L1", "'labl'", "'label'"),
        ("specimen --where visit_id=1", "several", "visit_id>number"),
        ("specimen --where label", "no column", "column=value"),
        ("--where label=L1", "no table", "inspect TABLE"),
        ("specimen --reconcile -", "no column", "TABLE.COLUMN"),
        ("specimen.label --where label=L1 --reconcile -", "do not go together", "out"),
    ],
)
def test_what_cannot_be_shown_is_said(field: Field, command: str, said: str, hint: str) -> None:
    field.seal(*BEGINNING)
    field.bring()
    error, help_ = complaint(run(f"inspect {command}", field.driver))
    assert said in error
    assert hint in help_


def test_nothing_is_changed_by_looking(field: Field) -> None:
    field.seal(*BEGINNING)
    field.bring()
    with untouched(field.driver.folder, field.car), untouched(field.laptop.folder, field.side):
        for command in ("inspect", "inspect specimen", "inspect --json", "inspect specimen.label --reconcile -"):
            for config in (field.driver, field.laptop):
                run(command, config)


def test_a_database_without_anything_of_ours_is_named_and_left_so(make_side: Make, tmp_path: Path, kind: str) -> None:
    side = make_side(kind, "bare")
    config = write_config(tmp_path, "bare", side, {}, {})
    with untouched(config.folder, side):
        error, _ = complaint(run("inspect", config))
    assert "nothing of cdc-sync" in error


def test_an_empty_box_says_so(field: Field) -> None:
    assert run("inspect", field.driver).stdout == "Nothing lies here.\n"
    assert "No such row" in run("inspect specimen", field.driver).stdout
    assert field.scan("specimen.label", "L1")[0] == 3
