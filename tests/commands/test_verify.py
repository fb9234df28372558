"""``cdc-sync verify``: what it says and ends with, what it refuses, and that the rights of the README are enough."""

import json
from pathlib import Path

from tests.commands.conftest import Expected, Walk, everything, refused, run
from tests.commands.test_least_rights import least
from tests.conftest import Make
from tests.nodes import install, replicate


def replicated(walk: Walk, *codes: str) -> None:
    install(walk.config)
    walk.add(*codes)
    replicate(walk.config)


def test_it_ends_with_0_where_the_destination_holds_every_row(walk: Walk) -> None:
    replicated(walk, "a", "b")
    result = run("verify", walk.config)
    assert (result.exit_code, result.stdout) == (0, "server: subject: 2 rows, equal\n")


def test_it_ends_with_3_and_names_keys_and_no_other_value_where_rows_are_missing_or_different(walk: Walk) -> None:
    replicated(walk, "a", "b", "c")
    walk.source.run("update subject set note = 'secret one' where code = 'b'")
    replicate(walk.config)
    walk.target.run("delete from subject where code = 'a'")
    walk.target.run("update subject set note = 'secret two' where code = 'b'")
    result = run("verify subject --repair", walk.config)
    assert result.exit_code == 3
    assert result.stdout == (
        "server: subject: 3 rows, 1 missing, 1 different, 2 to be sent by the next replicate\n"
        "  missing: a\n  different: b\n"
    )
    assert "secret" not in everything(result)
    replicate(walk.config)
    assert run("verify", walk.config).exit_code == 0


def test_rows_that_only_the_destination_has_count_where_that_is_asked_for_and_are_never_deleted(walk: Walk) -> None:
    replicated(walk, "a")
    walk.target.run("insert into subject (code) values ('other laptop'), ('own')")
    result = run("verify --repair", walk.config)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "server: subject: 1 row, 2 only at the destination"
    assert sorted(result.stdout.splitlines()[1:]) == [
        "  only at the destination: other laptop",
        "  only at the destination: own",
    ]
    assert run("verify --repair --exact", walk.config).exit_code == 3
    replicate(walk.config)
    assert walk.arrived() == ["a", "other laptop", "own"]


def test_json_holds_counts_and_as_many_keys_as_are_asked_for(walk: Walk) -> None:
    replicated(walk, "a", "b", "c")
    walk.target.run("delete from subject")
    result = run("verify --json --keys 1", walk.config)
    assert result.exit_code == 3
    (table,) = json.loads(result.stdout)
    assert (table["destination"], table["table"], table["rows"], table["missing"]) == ("server", "subject", 3, 3)
    assert len(table["keys"]["missing"]) == 1
    assert "... and 2 more" in run("verify --keys 1", walk.config).stdout


def test_it_says_what_to_do_where_batches_wait_or_nothing_is_installed(walk: Walk) -> None:
    refused(run("verify", walk.config), Expected(("no triggers",), "install-triggers"))
    replicated(walk, "a")
    refused(run("verify visit", walk.config), Expected(("'visit'", "not captured"), "captured are subject"))


def test_the_rights_of_the_readme_are_enough(make_side: Make, tmp_path: Path) -> None:
    with least(make_side, tmp_path) as (source, target, config):
        assert run("install-triggers", config).exit_code == 0
        source.run("insert into subject (code) values ('s1'), ('s2')")
        assert run("replicate --once", config).exit_code == 0
        target.run("update subject set note = 'x' where code = 's2'")
        assert run("verify --repair", config).exit_code == 3
        assert run("replicate --once", config).exit_code == 0
        assert run("verify", config).exit_code == 0
