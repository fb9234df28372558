"""The replicator is killed at every commit of the walk, before it and after it: nothing is lost, nothing is doubled."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.journeys.killed import Run, Runner
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, v text);
create table visit (
    id {pk}, subject_id integer not null references subject (id) on delete cascade, code text not null, n integer,
    unique (subject_id, code));
"""
TABLES = {"subject": ["code"], "visit": ["subject_id", "code"]}
SHAPES = (
    Shape("subject", ("code",), ("v",)),
    Shape("visit", ("subject_id>subject.code", "code"), ("n",)),
)
MOST = 60


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


def killed(runner: Runner, config: Config, moment: str, number: int, command: str = "replicate --once") -> bool:
    """Whether the run died; False once it has fewer commits than that."""
    code, output = runner.run(Run(moment, number, [*command.split(), "--config", str(config.path)]))
    assert code in (0, -signal.SIGKILL), output
    return code == -signal.SIGKILL


def write_changes(source: Side, round_: int) -> None:
    """A transaction of every kind of change, different in each round."""
    with source.transaction():
        source.run("insert into subject (id, code, v) values (?, ?, ?)", (round_ + 10, f"s{round_}", "new"))
        source.run("insert into visit (subject_id, code, n) values (?, 'v1', ?)", (round_ + 10, round_))
        source.run("update subject set v = ? where id = ?", (f"changed {round_}", round_ + 9))
        source.run("update subject set code = ? where id = ?", (f"renamed {round_}", round_ + 8))
        source.run("delete from subject where id = ?", (round_ + 6,))
        source.run("update visit set n = n + 1")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_commit_nothing_is_lost_or_doubled(
    pair: tuple[Side, Side], tmp_path: Path, runner: Runner, moment: str
) -> None:
    """Every third time the recovery is killed too, at the same commit, which is elsewhere in the walk by then."""
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    config = write_config(tmp_path, "crashing", source, target, TABLES)
    install(config)
    number = 0
    died = True
    while died:
        number += 1
        assert number < MOST
        write_changes(source, number)
        died = killed(runner, config, moment, number)
        write_changes(source, number + 1000)
        if number % 3 == 0:
            killed(runner, config, moment, number)
        replicate(config)
        for shape in SHAPES:
            assert by_natural_key(target, shape) == by_natural_key(source, shape), (moment, number)
    assert number > 5
