"""doctor names what needs a hand, with the command that mends it, and ends with 3; where all is well it ends with 0."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import SUBJECT, Walk, made_walk, ours, run
from tests.conftest import Make
from tests.nodes import install, write_config


@pytest.fixture
def well(walk: Walk) -> Walk:
    install(walk.config)
    return walk


def test_where_all_is_well_doctor_says_so(well: Walk) -> None:
    result = run("doctor", well.config)
    assert result.exit_code == 0, result.output
    assert "Nothing needs a hand." in result.stdout


def test_doctor_changes_nothing_and_needs_an_installation(walk: Walk) -> None:
    result = run("doctor", walk.config)
    assert result.exit_code == 2
    assert "install-triggers" in result.stderr


def _lose_trigger(walk: Walk) -> None:
    if walk.source.kind == "postgresql":
        walk.source.run("drop trigger cdc_sync_delete on subject")
    else:
        (name,) = walk.source.rows("select name from sqlite_master where name like 'cdc_sync_delete%'")[0]
        walk.source.run(f'drop trigger "{name}"')


def _add_column(walk: Walk) -> None:
    walk.source.run("alter table subject add column extra text")
    walk.target.run("alter table subject add column extra text")


def _configure(walk: Walk) -> None:
    walk.config.path.write_text(
        walk.config.path.read_text().replace('key = ["code"]', 'key = ["code"]\nexclude = ["note"]')
    )


def _pause(walk: Walk) -> None:
    assert run("pause", walk.config).exit_code == 0


def _lose_unique_key(walk: Walk) -> None:
    walk.target.run("drop table subject")
    walk.target.run("create table subject (id integer primary key, code text not null, note text)")


def _show_key(walk: Walk) -> None:
    walk.config.key_path.chmod(0o644)


def _lose_target(walk: Walk) -> None:
    walk.target.close()
    Path(walk.target.url.removeprefix("sqlite:///")).unlink()


def _grow(walk: Walk) -> None:
    series = (
        "select 's' || i from generate_series(1, 100000) i"
        if walk.source.kind == "postgresql"
        else "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000) select 's' || i from n"
    )
    walk.source.run(f"insert into subject (code) {series}")


ILLS: dict[str, tuple[Callable[[Walk], None], str, str]] = {
    "a lost trigger": (_lose_trigger, "no trigger of ours for delete", "cdc-sync install-triggers"),
    "a new column": (_add_column, "column 'extra' came", "cdc-sync install-triggers"),
    "another configuration": (_configure, "configuration has changed", "cdc-sync install-triggers"),
    "a pause": (_pause, "is paused", "cdc-sync resume subject"),
    "no unique key at the target": (_lose_unique_key, "no unique constraint", "create unique index"),
    "a readable key": (_show_key, "others can read the device key", "chmod 600 laptop.key"),
    "a target that is gone": (_lose_target, "there is no database file", "check the path"),
    "changes that nobody seals": (_grow, "100000 changes wait", "cdc-sync replicate"),
}


@pytest.mark.parametrize("ill", ILLS)
def test_doctor_names_an_ill_and_what_mends_it(well: Walk, ill: str) -> None:
    meddle, message, mend = ILLS[ill]
    meddle(well)
    result = run("doctor", well.config)
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    found = [(line, lines[i + 1]) for i, line in enumerate(lines) if line.startswith("! ")]
    assert any(message in what and mend in how for what, how in found), result.stdout


@pytest.mark.parametrize("ill", ["a lost trigger", "a new column", "another configuration", "a pause"])
def test_what_doctor_says_mends_it(well: Walk, ill: str) -> None:
    meddle, _, mend = ILLS[ill]
    meddle(well)
    assert run(mend.removeprefix("cdc-sync "), well.config).exit_code == 0
    result = run("doctor", well.config)
    assert result.exit_code == 0, result.output


def test_doctor_speaks_json_and_tells_of_tables_that_nobody_configured(well: Walk) -> None:
    well.source.run("create table session (id integer primary key)")
    result = run("doctor", well.config, "--json")
    assert result.exit_code == 0
    found = [entry for entry in json.loads(result.stdout) if entry["subject"] == "session"]
    assert [(entry["urgent"], "nobody configured" in entry["message"]) for entry in found] == [(False, True)]


@pytest.fixture
def server_walk(make_side: Make, tmp_path: Path) -> Walk:
    walk = made_walk(make_side, tmp_path, "postgresql", "sqlite")
    install(walk.config)
    return walk


def test_a_transaction_that_stays_open_is_named(server_walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc_sync.doctor.OPEN", 0)
    other = server_walk.source.connect()
    with other.transaction():
        other.execute("select 1")
        result = run("doctor", server_walk.config)
    other.close()
    assert result.exit_code == 3
    assert "has been open for" in result.stdout
    assert "pg_terminate_backend" in result.stdout


def test_triggers_that_another_replication_would_not_fire_are_named(server_walk: Walk) -> None:
    server_walk.source.run("alter table subject disable trigger all; alter table subject enable trigger all")
    result = run("doctor", server_walk.config)
    assert "do not fire for sessions of another replication" in result.stdout


def test_a_role_that_lacks_a_right_on_the_target_is_named(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    role = f"r{abs(hash(target.url)) % 10**8}"
    target.run(
        f"create role {role} login; grant usage on schema public to {role}; grant select, insert on subject to {role}"
    )
    config.path.write_text(
        config.path.read_text().replace("//postgres:", f"//{role}:").replace("//postgres@", f"//{role}@")
    )
    try:
        result = run("doctor", config)
    finally:
        target.run(f"drop owned by {role}; drop role {role}")
    assert result.exit_code == 3, result.output
    assert f'grant delete on "public"."subject" to {role}' in result.stdout
    assert "grant insert" not in result.stdout


def test_a_clock_that_went_back_is_named(well: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """1970 is what a laptop says whose battery is gone."""
    monkeypatch.setattr("cdc_sync.clock.now", lambda: "2999-01-01T00:00:00+00:00")
    well.add("s1")
    assert run("replicate --once", well.config).exit_code == 0
    assert well.source.rows(f"select count(*) from {ours(well.source)}outbox") == [(1,)]
    result = run("doctor", well.config)
    assert result.exit_code == 3
    assert "the clock says an earlier time" in result.stdout
