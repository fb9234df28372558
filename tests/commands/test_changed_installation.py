"""What changed since the installation is named and nothing moves; installing again loses no change that waits."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from cdc_sync import identity
from cdc_sync.config import Config
from tests.commands.conftest import SUBJECT, Expected, made, refused, run, untouched
from tests.conftest import Make
from tests.nodes import Side, install, write_config


def installed(make_side: Make, folder: Path, kind: str) -> tuple[Config, Side, Side]:
    """A node with triggers and one change that waits, and its target."""
    source, target = made(make_side, kind, "source", SUBJECT), made(make_side, "sqlite", "target", SUBJECT)
    config = write_config(folder, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    return config, source, target


def _rename_node(config: Config, source: Side) -> None:  # noqa: ARG001
    text = config.path.read_text().replace('"laptop"', '"tablet"')
    config.path.write_text(text)


def _lose_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.unlink()


def _swap_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.unlink()
    identity.create(config.key_path)


def _spoil_key(config: Config, source: Side) -> None:  # noqa: ARG001
    config.key_path.write_text("no key")


def _change_configuration(config: Config, source: Side) -> None:  # noqa: ARG001
    config.path.write_text(config.path.read_text().replace('key = ["code"]', 'key = ["code"]\nexclude = ["note"]'))


def _change_table(config: Config, source: Side) -> None:  # noqa: ARG001
    source.run("alter table subject add column extra text")


def _drop_trigger(config: Config, source: Side) -> None:  # noqa: ARG001
    if source.kind == "postgresql":
        source.run("drop trigger cdc_sync_delete on subject")
        return
    query = "select name from sqlite_master where type = 'trigger' and name like 'cdc_sync_delete%'"
    source.run(f"drop trigger {source.rows(query)[0][0]}")


def _drop_table(config: Config, source: Side) -> None:  # noqa: ARG001
    source.run("drop table subject")


def _uninstall(config: Config, source: Side) -> None:  # noqa: ARG001
    assert run("uninstall-triggers", config, "--discard").exit_code == 0


Meddle = Callable[[Config, Side], None]
MEDDLED: Mapping[str, tuple[Meddle, Expected, Sequence[str]]] = {
    "wrong-node-name": (
        _rename_node,
        Expected(("'laptop'", "'tablet'"), '"laptop"'),
        ("install-triggers", "replicate --once", "uninstall-triggers --discard"),
    ),
    "missing-key": (
        _lose_key,
        Expected(("laptop.key", "missing"), "put it back"),
        ("install-triggers", "replicate --once"),
    ),
    "foreign-key": (
        _swap_key,
        Expected(("laptop.key", "not the key"), "put the right file back"),
        ("install-triggers", "replicate --once"),
    ),
    "spoilt-key": (
        _spoil_key,
        Expected(("laptop.key", "not a readable"), "put the right file back"),
        ("install-triggers", "replicate --once"),
    ),
    "changed-configuration": (
        _change_configuration,
        Expected(("'subject'", "changed"), "install-triggers"),
        ("replicate --once", "replicate"),
    ),
    "dropped-table": (_drop_table, Expected(("'subject'",)), ("install-triggers", "replicate --once")),
    "not-installed": (
        _uninstall,
        Expected(("no triggers are installed",), "install-triggers"),
        ("replicate --once", "replicate", "status"),
    ),
}


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, (_, _, commands) in MEDDLED.items() for command in commands]
)
def test_what_changed_since_the_installation_is_named_and_nothing_moves(
    make_side: Make, tmp_path: Path, kind: str, name: str, command: str
) -> None:
    meddle, expected, _ = MEDDLED[name]
    config, source, target = installed(make_side, tmp_path, kind)
    meddle(config, source)
    with untouched(tmp_path, source, target):
        refused(run(command, config), expected)


@pytest.mark.parametrize("command", ["install-triggers", "replicate --once"])
@pytest.mark.parametrize("meddle", [_drop_trigger, _change_table])
def test_what_changed_can_be_installed_again_without_losing_the_change_that_waits(
    make_side: Make, tmp_path: Path, kind: str, meddle: Meddle, command: str
) -> None:
    config, source, target = installed(make_side, tmp_path, kind)
    target.run("alter table subject add column extra text")
    meddle(config, source)
    result = run(command, config)
    assert result.exit_code == 0, result.stderr
    assert run("replicate --once", config).exit_code == 0
    assert target.rows("select code from subject") == [("s1",)]


def test_a_changed_configuration_is_installed_after_sealing_what_waits_under_the_former_one(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    config, source, target = installed(make_side, tmp_path, kind)
    _change_configuration(config, source)
    assert "renewed" in run("install-triggers", config).stdout
    source.run("insert into subject (code, note) values ('s2', 'stays here')")
    assert run("replicate --once", config).exit_code == 0
    assert target.rows("select code, note from subject order by code") == [("s1", None), ("s2", None)]
