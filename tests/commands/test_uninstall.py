"""uninstall-triggers keeps what is not applied everywhere, and when it goes it leaves nothing of ours."""

from pathlib import Path

from cdc_sync import databases, ship
from tests.commands.conftest import CHECKED, SHAPE, SUBJECT, Walk, by_hand, everything, made_walk, run, state, untouched
from tests.conftest import Make
from tests.nodes import Side, compare, install, replicate, status, write_config


def nothing_of_ours(side: Side) -> bool:
    """Neither in the catalog nor in a row does our name stand."""
    return "cdc_sync" not in repr(state(side))


def test_unsealed_changes_keep_the_triggers(walk: Walk, tmp_path: Path) -> None:
    install(walk.config)
    walk.add("s1")
    with untouched(tmp_path, walk.source, walk.target):
        result = run("uninstall-triggers", walk.config)
    assert result.exit_code == 1
    assert "1 change " in result.stderr
    assert "--discard" in result.stderr


def test_sealed_changes_that_are_not_applied_keep_the_triggers(make_side: Make, tmp_path: Path, kind: str) -> None:
    walk = made_walk(make_side, tmp_path, kind, "sqlite", CHECKED)
    install(walk.config)
    walk.source.run("insert into subject (code, note) values ('s1', 'refused')")
    with databases.connect(walk.source.url) as database:
        ship.seal_waiting(database, walk.config)
    assert [table.unsealed for table in status(walk.config).tables] == [0]
    with untouched(tmp_path, walk.source, walk.target):
        result = run("uninstall-triggers", walk.config)
    assert result.exit_code == 1
    assert "1 change " in result.stderr


def test_what_is_applied_everywhere_lets_the_triggers_go(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    result = run("uninstall-triggers", walk.config)
    assert result.exit_code == 0, everything(result)
    assert nothing_of_ours(walk.source)


def test_what_is_known_of_the_newest_changes_goes_too(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": {"key": ["code"], "conflict": "newest_wins"}})
    install(config)
    source.run("insert into subject (code) values ('s1'), ('s2')")
    source.run("delete from subject where code = 's1'")
    replicate(config)
    versions = "cdc_sync_version_subject" if kind == "sqlite" else "version_public.subject"
    assert versions in repr(state(source))
    assert versions in run("uninstall-triggers --dry-run", config).stdout
    assert run("uninstall-triggers", config).exit_code == 0
    assert nothing_of_ours(source)


def test_a_destination_that_never_answered_keeps_the_triggers(make_side: Make, tmp_path: Path, kind: str) -> None:
    """Applied at one destination is not applied at every one."""
    walk = made_walk(make_side, tmp_path, kind, "sqlite")
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    other = make_side("sqlite", "other")
    other.script(SUBJECT)
    both = write_config(tmp_path, "laptop", walk.source, {"server": walk.target, "other": other}, {"subject": ["code"]})
    walk.add("s2")
    other.run("alter table subject rename to subjects")
    assert run("replicate --once", both).exit_code == 2
    assert run("uninstall-triggers", both).exit_code == 1


def test_discarding_leaves_no_object_of_ours_and_the_rows_as_they_were(walk: Walk) -> None:
    before = state(walk.source)
    install(walk.config)
    walk.add("s1")
    result = run("uninstall-triggers", walk.config, "--discard")
    assert result.exit_code == 0
    assert "1 change" in result.stdout
    assert nothing_of_ours(walk.source)
    assert state(walk.source)[0] == before[0]
    walk.add("s2")
    assert walk.source.rows("select code from subject order by code") == [("s1",), ("s2",)]


def test_uninstalling_twice_is_no_error(walk: Walk, tmp_path: Path) -> None:
    with untouched(tmp_path, walk.source):
        assert run("uninstall-triggers", walk.config).exit_code == 0


def test_a_node_installed_again_replicates_to_the_same_destination_in_a_new_epoch(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    first = status(walk.config).epoch
    assert run("uninstall-triggers", walk.config).exit_code == 0
    walk.add("unseen")
    assert run("install-triggers", walk.config, "--include-existing").exit_code == 0
    walk.add("s2")
    assert run("replicate --once", walk.config).exit_code == 0
    assert status(walk.config).epoch != first
    compare(walk.source, walk.target, SHAPE)


def test_a_dry_uninstallation_touches_nothing_and_its_script_removes_everything(walk: Walk, tmp_path: Path) -> None:
    install(walk.config)
    walk.add("s1")
    with untouched(tmp_path, walk.source, walk.target):
        script = run("uninstall-triggers", walk.config, "--dry-run")
    by_hand(walk.source, script.stdout)
    assert nothing_of_ours(walk.source)
    walk.add("s2")
