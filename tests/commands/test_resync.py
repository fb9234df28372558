"""``cdc-sync resync``: what it says, what it refuses, and that the rights of the README are enough for it."""

from pathlib import Path

from tests.commands.conftest import Expected, Walk, refused, run, state
from tests.commands.test_least_rights import least
from tests.conftest import Make
from tests.nodes import install


def test_it_says_how_many_rows_will_be_sent_and_how_they_travel(walk: Walk) -> None:
    walk.add("a", "b")
    install(walk.config, include_existing=False)
    result = run("resync", walk.config)
    assert result.exit_code == 0
    assert result.stdout == "subject: 2 rows will be sent\nThey travel with the next: cdc-sync replicate\n"
    run("replicate --once", walk.config)
    assert walk.arrived() == ["a", "b"]


def test_it_refuses_what_it_cannot_do_and_says_what_to_type(walk: Walk) -> None:
    refused(run("resync", walk.config), Expected(("no triggers",), "install-triggers"))
    install(walk.config)
    refused(run("resync visit", walk.config), Expected(("'visit'", "not captured"), "captured are subject"))
    refused(run("resync", walk.config, "--where", "code = 'a'"), Expected(("needs a table",), "resync TABLE"))
    refused(
        run("resync subject", walk.config, "--where", "colour = 1"), Expected(("'colour'",), "it has id, code, note")
    )
    refused(run("resync subject", walk.config, "--where", "note in (select 1)"), Expected(("subquery",), "own columns"))
    run("pause subject", walk.config)
    refused(run("resync subject", walk.config), Expected(("'subject'", "paused"), "cdc-sync resume subject"))


def test_uninstalling_removes_what_a_resync_made(walk: Walk) -> None:
    before = state(walk.source)
    install(walk.config)
    run("resync", walk.config)
    assert run("uninstall-triggers", walk.config).exit_code == 0
    assert state(walk.source) == before


def test_the_rights_of_the_readme_are_enough(make_side: Make, tmp_path: Path) -> None:
    with least(make_side, tmp_path) as (source, target, config):
        source.run("insert into subject (code) values ('s1')")
        assert run("install-triggers", config).exit_code == 0
        assert run("resync", config).exit_code == 0
        assert run("replicate --once", config).exit_code == 0
        assert target.rows("select code from subject") == [("s1",)]
