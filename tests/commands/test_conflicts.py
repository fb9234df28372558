"""What a person sees of conflicts, and how one is decided."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.conftest import SUBJECT, Walk, made_walk, run
from tests.conftest import Make
from tests.nodes import install, write_config


@pytest.fixture
def held(make_side: Make, tmp_path: Path, kind: str) -> Walk:
    """A laptop whose subject the server has already, under a policy that leaves the decision to a person."""
    walk = made_walk(make_side, tmp_path, "sqlite", kind, SUBJECT)
    tables = {"subject": {"key": ["code"], "conflict": "manual"}}
    walk = replace(walk, config=write_config(tmp_path, "laptop", walk.source, walk.target, tables))
    install(walk.config)
    walk.target.run("insert into subject (code, note) values ('s1', 'at the server')")
    walk.source.run("insert into subject (code, note) values ('s1', 'on the laptop')")
    assert run("replicate --once", walk.config).exit_code == 3
    return walk


def conflicts(walk: Walk, *options: str) -> tuple[int, str]:
    result = run("conflicts", walk.config, "--at", "server", *options)
    return result.exit_code, result.output


def decide(walk: Walk, *options: str) -> tuple[int, str]:
    result = run("conflicts decide", walk.config, "--at", "server", *options)
    return result.exit_code, result.output


def test_a_held_conflict_shows_both_versions_side_by_side(held: Walk) -> None:
    code, said = conflicts(held)
    assert code == 3
    assert "insert_exists in subject, laptop met this database, manual: held" in said
    assert "* note  source: on the laptop  target: at the server" in said
    assert "  code  source: s1  target: s1" in said


@pytest.mark.parametrize(("version", "note"), [("source", "on the laptop"), ("target", "at the server")])
def test_a_decision_settles_it(held: Walk, version: str, note: str) -> None:
    ((listed),) = json.loads(conflicts(held, "--json", "--held")[1])
    assert decide(held, str(listed["id"]), version) == (0, f"{listed['id']}: {version}\n")
    assert held.target.rows("select note from subject") == [(note,)]
    code, said = conflicts(held)
    assert code == 0
    assert f"manual: {version}" in said
    assert conflicts(held, "--held") == (0, "No conflicts.\n")
    assert run("replicate --once", held.config).exit_code == 0


def test_a_decision_about_nothing_is_refused(held: Walk) -> None:
    code, said = decide(held, "77", "source")
    assert code == 2
    assert "no held conflict has the number 77" in said
    assert "conflicts --held" in said


def test_an_unknown_policy_is_refused_with_those_that_are_known(walk: Walk) -> None:
    path = walk.config.path
    path.write_text(path.read_text().replace('key = ["code"]', 'key = ["code"]\nconflict = "loudest_wins"'))
    result = run("install-triggers", path)
    assert result.exit_code == 2
    assert "source_wins, target_wins, newest_wins, manual" in result.stderr
