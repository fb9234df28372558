"""install-triggers says what it does, does it once, and sends existing rows exactly once; its script does the same."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.commands.conftest import SHAPE, Walk, by_hand, captured, eventually, everything, made_walk, run, untouched
from tests.conftest import Make
from tests.nodes import Side, compare, replicate, write_config


def test_installing_twice_changes_nothing_and_counts_the_rows_that_stand_there(walk: Walk, tmp_path: Path) -> None:
    walk.add("s1", "s2")
    first = run("install-triggers", walk.config)
    assert first.exit_code == 0
    assert "subject: new, 2 rows stand in it and will not be sent" in first.stdout
    assert "--include-existing" in first.stdout
    with untouched(tmp_path, walk.source, walk.target):
        second = run("install-triggers", walk.config)
    assert second.exit_code == 0
    assert "subject: unchanged, 2 rows stand in it" in second.stdout


def test_an_empty_table_is_said_to_be_empty(walk: Walk) -> None:
    assert "subject: new, empty" in run("install-triggers", walk.config).stdout


def test_existing_rows_are_sent_exactly_once(walk: Walk) -> None:
    walk.add("s1", "s2", "s3")
    result = run("install-triggers", walk.config, "--include-existing")
    assert "3 rows stand in it and will be sent" in result.stdout
    assert run("install-triggers", walk.config, "--include-existing").exit_code == 0
    assert captured(walk.source) == [("I", "s1"), ("I", "s2"), ("I", "s3")]
    replicate(walk.config)
    compare(walk.source, walk.target, SHAPE)


def test_asking_for_existing_rows_after_the_installation_sends_them_or_says_that_it_does_not(walk: Walk) -> None:
    """The first installation itself points to --include-existing."""
    walk.add("s1")
    assert "--include-existing sends them" in run("install-triggers", walk.config).stdout
    result = run("install-triggers", walk.config, "--include-existing")
    assert captured(walk.source) == [("I", "s1")] or "not be sent" in result.stdout + result.stderr


@contextmanager
def writers(side: Side, count: int) -> Iterator[list[str]]:
    """Applications that insert rows, each over a connection of its own; yields the codes written so far."""
    stop, written, failures = threading.Event(), [], []

    def write(number: int) -> None:
        connection: Any = side.connect()
        try:
            for i in range(100_000):
                if stop.is_set():
                    return
                code = f"w{number}-{i}"
                connection.execute(f"insert into subject (code) values ('{code}')")
                written.append(code)
                time.sleep(0.001)
        except (psycopg.Error, sqlite3.Error) as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, "the application's own write failed"


@pytest.mark.parametrize(("kind", "count"), [("postgresql", 4), ("sqlite", 1)])
def test_rows_written_during_the_installation_are_sent_exactly_once(
    make_side: Make, tmp_path: Path, kind: str, count: int
) -> None:
    walk = made_walk(make_side, tmp_path, kind, "sqlite")
    walk.source.many("insert into subject (code) values (?)", [(f"old-{i}",) for i in range(2000)])
    with writers(walk.source, count) as written:
        eventually(lambda: len(written) > 20 * count, "no writer wrote")
        assert run("install-triggers", walk.config, "--include-existing").exit_code == 0
        before = len(written)
        eventually(lambda: len(written) > before + 20 * count, "no writer goes on after the installation")
    codes = walk.source.rows("select 'I', code from subject order by code")
    assert captured(walk.source) == sorted(codes)
    replicate(walk.config)
    compare(walk.source, walk.target, SHAPE)


def test_a_dry_installation_touches_nothing_and_its_script_captures(walk: Walk, tmp_path: Path) -> None:
    with untouched(tmp_path, walk.source, walk.target):
        script = run("install-triggers", walk.config, "--dry-run")
    assert script.exit_code == 0
    by_hand(walk.source, script.stdout)
    walk.add("s1")
    walk.source.run("update subject set note = 'x'")
    walk.source.run("delete from subject")
    assert [op for op, _ in captured(walk.source)] == ["D", "I", "U"]


def test_a_script_run_by_hand_is_accepted_by_the_installation_and_its_changes_arrive(walk: Walk) -> None:
    by_hand(walk.source, run("install-triggers", walk.config, "--dry-run").stdout)
    walk.add("s1")
    result = run("install-triggers", walk.config)
    assert result.exit_code == 0, everything(result)
    assert "subject: unchanged" in result.stdout or "subject: renewed" in result.stdout
    walk.add("s2")
    replicate(walk.config)
    assert walk.arrived() == ["s1", "s2"]


def test_a_dry_installation_of_names_that_look_like_parameters_runs_too(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    """``:shape`` and ``:digest`` are bind parameters of ours; in a name they are only letters."""
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script('create table "a :shape" (id {pk}, "k :digest" text not null unique, "100 % sure" text)')
    config = write_config(tmp_path, "laptop", source, target, {"a :shape": ["k :digest"]})
    by_hand(source, run("install-triggers", config, "--dry-run").stdout)
    source.run('insert into "a :shape" ("k :digest") values (\'s1\')')
    assert "a :shape: unchanged" in run("install-triggers", config).stdout
    replicate(config)
    assert target.rows('select "k :digest" from "a :shape"') == [("s1",)]
