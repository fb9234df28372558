"""The demo as somebody types it, and whether its proof proves anything."""

import dataclasses
import io
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from cdc_sync import demo
from cdc_sync.databases import sqlfiles
from cdc_sync.demo import comparison, places, proof
from cdc_sync.demo.comparison import Edit, Row
from cdc_sync.errors import CdcSyncError

WITHOUT_IDS = {
    "subject": "select subject_identifier, initials, dob, gender, consented from {0}.subject",
    "subject_visit": (
        "select s.subject_identifier, v.visit_code, v.visit_date, v.weight from {0}.subject_visit v "
        "join {0}.subject s on s.id = v.subject_id"
    ),
    "specimen_requisition": (
        "select s.subject_identifier, v.visit_code, r.panel, r.requisition_identifier, r.drawn "
        "from {0}.specimen_requisition r join {0}.subject_visit v on v.id = r.subject_visit_id "
        "join {0}.subject s on s.id = v.subject_id"
    ),
}
"""Every column but ids and foreign keys, which stand as the parents' natural keys."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "cdc_sync", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**variables, "PYTHONUTF8": "1", **environment},
        check=False,
    )


@dataclasses.dataclass(frozen=True)
class Played:
    folder: Path
    output: str

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Ask the server, with both laptops attached as l1 and l2 and the server's first rows as earlier."""
        with closing(sqlite3.connect(self.folder / "community.db")) as server:
            server.execute("attach ':memory:' as earlier")
            for number in (1, 2):
                server.execute(f"attach ? as l{number}", (str(self.folder / f"laptop-0{number}.db"),))
            for script in ("schema", "server_before"):
                text = sqlfiles.read("demo", script)
                server.executescript(re.sub(r"(create table|insert into) ", r"\1 earlier.", text))
            return list(server.execute(statement, values))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("demo") / "new" / "kept files"
    result = run("demo", "--keep", str(folder))
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return Played(folder, result.stdout)


@pytest.mark.parametrize("table", WITHOUT_IDS)
def test_the_server_holds_every_row_and_no_other(played: Played, table: str) -> None:
    rows = WITHOUT_IDS[table]
    sources = " union all ".join(rows.format(place) for place in ("l1", "l2", "earlier"))
    server = rows.format("main")
    assert played.query(f"select * from ({sources}) except {server}") == []
    assert played.query(f"select * from ({server}) except select * from ({sources})") == []
    counts = played.query(f"select (select count(*) from ({sources})), (select count(*) from ({server}))")
    assert counts[0][0] == counts[0][1]


@pytest.mark.parametrize("table", WITHOUT_IDS)
def test_the_comparison_leaves_no_column_out(played: Played, table: str) -> None:
    columns = {str(row[0]) for row in played.query("select name from pragma_table_info(?)", table)}
    own = {name for name in columns if name != "id" and not name.endswith(("subject_id", "visit_id"))}
    assert {name for name in own if name not in sqlfiles.read("demo", f"rows_{table}")} == set()


@pytest.mark.parametrize("table", WITHOUT_IDS)
def test_the_servers_earlier_rows_are_as_they_were(played: Played, table: str) -> None:
    assert played.query(f"select * from earlier.{table} except select * from main.{table}") == []


def test_both_laptops_gave_the_same_ids_to_different_people(played: Played) -> None:
    shared = "select a.id from l1.{0} a join l2.{0} b on b.id = a.id"
    assert all(len(played.query(shared.format(table))) >= 3 for table in WITHOUT_IDS)
    assert played.query("select * from l1.subject a join l2.subject b using (subject_identifier)") == []


def test_the_corrected_subject_kept_its_id_and_its_children(played: Played) -> None:
    sent = re.search(r"^2 +066-11-0012-4 +(\d+) ", played.output, re.MULTILINE)
    assert sent, played.output
    found = played.query("select id from subject where subject_identifier = '066-11-0021-4'")
    assert found == [(int(sent[1]),)]
    visits = played.query("select visit_code from subject_visit where subject_id = ? order by 1", int(sent[1]))
    assert visits == [("1000",), ("1010",), ("1020",)]
    assert played.query("select * from subject where subject_identifier = '066-11-0012-4'") == []
    told = f"The server kept it as subject {sent[1]}, and 2 visits and 2 requisitions under it kept their ids."
    assert told in " ".join(played.output.split())


def test_the_deleted_requisition_is_gone_and_the_other_of_that_id_is_not(played: Played) -> None:
    of = "select r.id {} join subject_visit v on v.id = r.subject_visit_id join subject s on s.id = v.subject_id"
    where = " where s.subject_identifier = ? and v.visit_code = '1000' and r.panel = ?"
    query = of.format("from specimen_requisition r") + where
    assert played.query("select * from l2.specimen_requisition where id = 3") == []
    assert played.query(query, "066-12-0008-2", "cd4") == []
    assert len(played.query(query, "066-12-0008-2", "viral_load")) == 1
    assert len(played.query("select * from l1.specimen_requisition where id = 3")) == 1


def test_the_output_says_what_happened(played: Played) -> None:
    facts = played.query("select origin, number, rows from cdc_sync_inbox")
    assert len(facts) == 4
    for origin, number, rows in facts:
        assert re.search(rf"^{number} +{origin} +{rows} ", played.output, re.MULTILINE)
    total = sum(len(played.query(f"select id from main.{table}")) for table in WITHOUT_IDS)
    assert f"compared {total} rows by natural key: 0 missing, 0 extra, 0 different" in played.output
    assert f"cd {shlex.quote(str(played.folder))}" in played.output


def test_the_output_fits_a_piped_page(played: Played) -> None:
    lines = [line for line in played.output.splitlines() if str(played.folder) not in line]
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in played.output
    assert "…" not in played.output


@pytest.mark.parametrize("laptop", places.LAPTOPS)
def test_the_kept_files_work_with_the_commands(played: Played, laptop: str) -> None:
    path = str(played.folder / f"{laptop}.toml")
    status = run("status", "--config", path)
    assert (status.returncode, status.stderr) == (0, "")
    assert "applied up to 2, 0 changes in 0 batches wait" in status.stdout
    assert run("replicate", "--once", "--config", path).stdout == "community: applied up to batch 2\n"


def test_without_keep_nothing_is_left(tmp_path: Path) -> None:
    result = run("demo", TMPDIR=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "0 missing, 0 extra, 0 different" in result.stdout
    assert "cdc-sync demo --keep cdc-sync-demo" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_output_without_unicode_will_do() -> None:
    result = run("demo", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


def test_a_folder_with_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    result = run("demo", "--keep", str(tmp_path))
    assert result.returncode == 2
    assert "is not empty" in result.stderr
    assert "hint: name a new folder with --keep" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("demo", "--keep", str(tmp_path / "file" / "folder"))
    assert result.returncode == 2
    assert "hint: name another folder" in result.stderr


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("delete from specimen_requisition where panel = 'chemistry'", "1 missing, 0 extra, 0 different"),
        ("update subject set initials = 'XX' where id = 1", "0 missing, 0 extra, 1 different"),
        ("update subject_visit set weight = null where id = 1", "0 missing, 0 extra, 1 different"),
        (
            "insert into subject_visit (subject_id, visit_code, visit_date) values (1, '9000', '2025-01-01')",
            "0 missing, 1 extra, 0 different",
        ),
    ],
)
def test_a_server_that_holds_something_else_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, found: str
) -> None:
    """The harm is done behind cdc-sync's back, right after laptop-02 has sent on the first day."""
    replicate = places.Laptop.replicate
    output = io.StringIO()

    def harmed(laptop: places.Laptop) -> None:
        replicate(laptop)
        if laptop.name == "laptop-02" and "The next day" not in output.getvalue():
            with closing(sqlite3.connect(tmp_path / "demo" / "community.db")) as server, server:
                server.execute(harm)

    monkeypatch.setattr(places.Laptop, "replicate", harmed)
    with pytest.raises(CdcSyncError, match=found) as error:
        demo.play(tmp_path / "demo", Console(file=output))
    assert error.value.exit_code == 1
    assert "compared" not in output.getvalue()


# --- the proof itself


def row(number: int, *key: str, table: str = "subject_visit", value: object = 1) -> Row:
    return Row(table=table, id=number, key=key, values=(value,))


ROWS = [row(1, "a", "1000"), row(2, "a", "1010"), row(3, "b", "1000")]


def test_comparison_ignores_ids_only() -> None:
    elsewhere = [dataclasses.replace(item, id=item.id + 40) for item in ROWS]
    compared = comparison.compare(ROWS, elsewhere)
    assert str(compared) == "compared 3 rows by natural key: 0 missing, 0 extra, 0 different"
    compared.check()


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        (ROWS[1:], "1 missing, 0 extra, 0 different"),
        ([*ROWS, row(4, "c", "1000")], "0 missing, 1 extra, 0 different"),
        ([row(1, "a", "1000", value=None), *ROWS[1:]], "0 missing, 0 extra, 1 different"),
        ([row(1, "b", "1010"), *ROWS[1:]], "1 missing, 1 extra, 0 different"),
        ([], "3 missing, 0 extra, 0 different"),
    ],
)
def test_comparison_notices(found: list[Row], counts: str) -> None:
    with pytest.raises(CdcSyncError, match=counts):
        comparison.compare(ROWS, found).check()


def test_edits_are_found_by_local_id() -> None:
    after = [row(1, "z", "1000"), row(2, "a", "1011"), row(4, "c", "1000")]
    found = [(edit.word, edit.before, edit.after) for edit in comparison.edits(ROWS, after)]
    assert found == [("corrected", ROWS[1], after[1]), ("deleted", ROWS[2], None), ("added", None, after[2])]


SUBJECT = row(7, "a", table="subject")
CORRECTION = Edit(before=row(1, "a", table="subject"), after=row(1, "z", table="subject"))


def test_a_correction_that_keeps_everything_is_told() -> None:
    after = [row(7, "z", table="subject"), row(1, "z", "1000"), row(2, "z", "1010")]
    told = proof.corrected("laptop-01", CORRECTION, [SUBJECT, *ROWS], after)
    assert told.endswith("The server kept it as subject 7, and 2 visits under it kept their ids.")


@pytest.mark.parametrize(
    "after",
    [
        [row(8, "z", table="subject"), row(1, "z", "1000"), row(2, "z", "1010")],
        [row(7, "z", table="subject"), row(1, "z", "1000")],
        [row(7, "z", table="subject"), row(1, "z", "1000"), row(5, "z", "1010")],
        [row(7, "z", table="subject"), row(1, "z", "1000"), row(2, "z", "1010"), row(9, "a", table="subject")],
        [SUBJECT, *ROWS],
    ],
    ids=["other id", "lost child", "child with another id", "twice", "not corrected"],
)
def test_a_correction_that_loses_something_is_noticed(after: list[Row]) -> None:
    with pytest.raises(CdcSyncError, match="corrected row of 'subject'"):
        proof.corrected("laptop-01", CORRECTION, [SUBJECT, *ROWS], after)


def test_a_row_that_was_not_deleted_is_noticed() -> None:
    with pytest.raises(CdcSyncError, match="still on the server"):
        proof.deleted("laptop-02", Edit(before=ROWS[0], after=None), ROWS, ROWS)


def test_another_id_for_a_known_row_is_noticed() -> None:
    proof.check_ids_kept(ROWS, [*ROWS, row(9, "n", "1000")])
    with pytest.raises(CdcSyncError, match="lost its id"):
        proof.check_ids_kept(ROWS, [row(9, "a", "1000")])
