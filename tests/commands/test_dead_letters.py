"""What a person sees of rows that were put aside, and what can be said to them."""

import json
from pathlib import Path

import pytest

from tests.commands.conftest import CHECKED, SUBJECT, Walk, made_walk, run
from tests.conftest import Make
from tests.nodes import install, letters


@pytest.fixture
def refused(make_side: Make, tmp_path: Path, kind: str) -> Walk:
    """A laptop whose server refused one of two rows."""
    walk = made_walk(make_side, tmp_path, "sqlite", kind, SUBJECT)
    walk.target.script("drop table subject;" + CHECKED)
    install(walk.config)
    walk.source.run("insert into subject (code, note) values ('s1', 'refused')")
    walk.source.run("insert into subject (code, note) values ('s2', 'fine')")
    return walk


def dead_letters(walk: Walk, *options: str) -> tuple[int, str]:
    result = run(f"dead-letters {options[0]}", walk.config, "--at", "server", *options[1:])
    return result.exit_code, result.output


def test_replicate_says_that_a_row_was_put_aside_and_ends_with_3(refused: Walk) -> None:
    result = run("replicate --once", refused.config)
    assert result.exit_code == 3
    assert "1 row put aside there: dead" in result.stdout
    assert "dead-letters list --at DESTINATION" in result.stderr
    assert refused.target.rows("select code from subject") == [("s2",)]


def test_the_list_tells_origin_batch_code_and_what_to_do_and_no_value(refused: Walk) -> None:
    assert dead_letters(refused, "list") == (0, "Nothing waits.\n")
    run("replicate --once", refused.config)
    code, said = dead_letters(refused, "list")
    assert code == 3
    assert "from laptop, batch 1" in said
    assert "23514" in said or "SQLITE_CONSTRAINT_CHECK" in said
    assert "s1" not in said
    (listed,) = json.loads(dead_letters(refused, "list", "--json")[1])
    assert (listed["origin"], listed["number"], listed["table"], listed["state"]) == ("laptop", 1, "subject", "dead")


def test_one_letter_is_shown_with_the_values_of_its_row(refused: Walk) -> None:
    run("replicate --once", refused.config)
    (letter,) = letters(refused.target)
    code, said = dead_letters(refused, "show", str(letter.id))
    assert code == 0
    assert "code = s1" in said
    assert "note = refused" in said


def test_a_retry_says_how_many_rows_are_applied_and_how_many_still_wait(refused: Walk) -> None:
    run("replicate --once", refused.config)
    assert dead_letters(refused, "retry") == (3, "0 rows applied, 1 row still waiting\n")
    refused.target.run("alter table subject rename to former")
    refused.target.script(SUBJECT)
    assert dead_letters(refused, "retry") == (0, "1 row applied, 0 rows still waiting\n")
    assert refused.target.rows("select code, note from subject") == [("s1", "refused")]


def test_a_letter_that_is_skipped_waits_no_more_and_its_row_stays_as_it_is(refused: Walk) -> None:
    run("replicate --once", refused.config)
    (letter,) = letters(refused.target)
    assert dead_letters(refused, "skip", str(letter.id))[0] == 2
    assert dead_letters(refused, "skip", str(letter.id), "--reason", "entered twice") == (0, f"{letter.id}: skipped\n")
    assert letters(refused.target) == []
    assert run("replicate --once", refused.config).exit_code == 0
    assert refused.target.rows("select code from subject") == [("s2",)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("show", "77"), "no letter has the number 77"),
        (("retry", "77"), "no letter has the number 77"),
        (("skip", "77", "--reason", "x"), "no letter has the number 77"),
        (("list", "--at", "nowhere"), "no destination 'nowhere'"),
    ],
)
def test_a_mistake_is_named_with_what_to_type(refused: Walk, options: tuple[str, ...], said: str) -> None:
    code, output = dead_letters(refused, *options)
    assert code == 2
    assert said in output
    assert "hint:" in output


def test_doctor_tells_of_rows_that_need_a_hand_and_of_those_that_wait_for_too_long(refused: Walk) -> None:
    run("replicate --once", refused.config)
    result = run("doctor", refused.config)
    assert result.exit_code == 3
    assert "1 row of laptop dead since" in result.output
    assert "cdc-sync dead-letters list --at server" in result.output


@pytest.mark.parametrize(("limit", "urgent"), [(0, True), (1000, False)])
def test_a_deferred_row_needs_a_hand_once_it_is_older_than_the_limit(
    make_side: Make, tmp_path: Path, kind: str, limit: int, urgent: bool
) -> None:
    walk = made_walk(make_side, tmp_path, "sqlite", kind, SUBJECT)
    for side in (walk.source, walk.target):
        side.script(
            "create table visit (id {pk}, subject_id integer not null references subject (id),"
            " n integer not null unique);"
        )
    path = walk.config.path
    text = path.read_text().replace("[node]", f"[node]\ndeferred_limit = {limit}")
    path.write_text(text + '\n[[tables]]\nname = "visit"\nkey = ["n"]\n')
    walk.source.run("insert into subject (id, code) values (1, 's')")
    installed = run("install-triggers", path)
    assert installed.exit_code == 0, installed.output
    walk.source.run("insert into visit (subject_id, n) values (1, 1)")
    assert run("replicate --once", path).exit_code == 3
    findings = json.loads(run("doctor --json", path).output)
    (found,) = [finding for finding in findings if "deferred" in finding["message"]]
    assert found["urgent"] is urgent
