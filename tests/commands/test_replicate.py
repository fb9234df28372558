"""replicate delivers until it is told to end, outlives databases that go away, and runs once for each node."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync.config import Config
from tests.commands.conftest import PATIENCE, Walk, eventually, made_walk, ours, run
from tests.conftest import Make
from tests.nodes import Row, Side, install, status


@contextmanager
def daemon(config: Config) -> Iterator[subprocess.Popen[str]]:
    """``cdc-sync replicate`` as its own process, killed at the end if it still runs."""
    command = [sys.executable, "-m", "cdc_sync", "replicate", "--config", str(config.path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], signal_number: int = signal.SIGTERM) -> str:
    """Ask the daemon to end; it must do so soon, and with exit code 0. Returns what it said."""
    process.send_signal(signal_number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_daemon_sends_what_changes_while_it_runs_and_ends_when_told(
    make_side: Make, tmp_path: Path, number: int
) -> None:
    walk = made_walk(make_side, tmp_path, "sqlite", "sqlite")
    install(walk.config)
    with daemon(walk.config) as process:
        for code in ("s1", "s2"):
            walk.add(code)
            eventually(lambda code=code: code in walk.arrived(), f"{code} never arrived")
        said = ended(process, number)
    assert said.count("sealed batch") == 2
    assert "Traceback" not in said


def test_the_daemon_ends_after_the_batch_in_hand(make_side: Make, tmp_path: Path) -> None:
    """Told to end in the middle of a large batch, it finishes that one: nothing is stored but not applied."""
    walk = made_walk(make_side, tmp_path, "sqlite", "postgresql")
    install(walk.config)
    with walk.target.connect() as blocker, daemon(walk.config) as process:
        blocker.autocommit = False
        blocker.execute("lock table subject in exclusive mode")
        walk.add("s1")
        eventually(lambda: bool(_blocked(walk.target)), "the application never began")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        blocker.rollback()
        ended(process)
    blocker.close()
    assert walk.arrived() == ["s1"]
    assert not any(batch.waiting_batches for batch in status(walk.config).destinations)


def _blocked(side: Side) -> list[Row]:
    return side.rows(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
        "and application_name = 'cdc-sync'"
    )


@contextmanager
def nobody_let_in(side: Side) -> Iterator[None]:
    """The server refuses every new connection to this database and ends those there are."""
    url = sa.make_url(side.url)
    with psycopg.connect(url.set(database="postgres").render_as_string(False), autocommit=True) as server:
        server.execute(f"alter database {url.database} allow_connections false")
        server.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = %s and application_name = 'cdc-sync'",
            (url.database,),
        )
        try:
            yield
        finally:
            server.execute(f"alter database {url.database} allow_connections true")


def test_the_daemon_outlives_a_destination_that_goes_away_and_delivers_when_it_is_back(
    make_side: Make, tmp_path: Path
) -> None:
    walk = made_walk(make_side, tmp_path, "sqlite", "postgresql")
    install(walk.config)
    with daemon(walk.config) as process:
        with nobody_let_in(walk.target):
            walk.add("s1")
            eventually(lambda: _sealed(walk.source) == 1, "nothing was sealed")
            walk.add("s2")
            time.sleep(1)
        eventually(lambda: walk.arrived() == ["s1", "s2"], "nothing was delivered after it came back")
        with nobody_let_in(walk.target):
            walk.add("s3")
            time.sleep(1)
        eventually(lambda: walk.arrived() == ["s1", "s2", "s3"], "nothing was delivered after it came back again")
        said = ended(process)
    assert "cannot connect" in said
    assert "Traceback" not in said


def _sealed(side: Side) -> int:
    return int(side.rows(f"select count(*) from {ours(side)}outbox")[0][0])


def test_the_daemon_outlives_a_destination_file_that_is_not_there_yet(make_side: Make, tmp_path: Path) -> None:
    """A stick or a mounted folder that comes and goes is as unreachable as a server."""
    walk = made_walk(make_side, tmp_path, "sqlite", "sqlite")
    install(walk.config)
    walk.add("s1")
    file = Path(sa.make_url(walk.target.url).database or "")
    away = file.rename(file.with_suffix(".away"))
    with daemon(walk.config) as process:
        time.sleep(1.5)
        assert process.poll() is None, "the daemon ended"
        away.rename(file)
        eventually(lambda: walk.arrived() == ["s1"], "nothing was delivered once it was there")
        ended(process)


def test_a_source_whose_server_restarts_does_not_end_the_daemon(make_side: Make, tmp_path: Path) -> None:
    walk = made_walk(make_side, tmp_path, "postgresql", "sqlite")
    install(walk.config)
    with daemon(walk.config) as process:
        walk.add("s1")
        eventually(lambda: walk.arrived() == ["s1"], "s1 never arrived")
        with nobody_let_in(walk.source):
            time.sleep(1)
        walk.add("s2")
        eventually(lambda: process.poll() is not None or walk.arrived() == ["s1", "s2"], "s2 never arrived")
        assert walk.arrived() == ["s1", "s2"]
        ended(process)


def test_a_second_replicator_of_the_same_node_is_refused(walk: Walk) -> None:
    install(walk.config)
    with daemon(walk.config) as process:
        walk.add("s1")
        eventually(lambda: walk.arrived() == ["s1"], "s1 never arrived")
        result = run("replicate --once", walk.config)
        assert result.exit_code == 1
        assert "another cdc-sync is at work" in result.stderr
        assert "hint: " in result.stderr
        ended(process)
    assert run("replicate --once", walk.config).exit_code == 0


def test_a_second_replicator_on_another_machine_is_refused(make_side: Make, tmp_path: Path) -> None:
    """With a copy of the configuration and the key; only the database can tell."""
    walk = made_walk(make_side, tmp_path, "postgresql", "sqlite")
    install(walk.config)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(walk.config.folder, elsewhere)
    with daemon(walk.config) as process:
        walk.add("s1")
        eventually(lambda: walk.arrived() == ["s1"], "s1 never arrived")
        result = run("replicate --once", elsewhere / walk.config.path.name)
        assert (result.exit_code, "another cdc-sync is at work" in result.stderr) == (1, True)
        ended(process)


def on_a_terminal(config: Config) -> str:
    """What ``replicate --once`` draws when a terminal stands behind stderr."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cdc_sync", "replicate", "--once", "--config", str(config.path)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stderr=follower, stdout=subprocess.PIPE, text=True, env=environment)
    os.close(follower)
    drawn = b""
    with suppress(OSError):
        while data := os.read(leader, 4096):
            drawn += data
    os.close(leader)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, drawn
    return drawn.decode()


def test_a_progress_bar_is_drawn_on_a_terminal_only(make_side: Make, tmp_path: Path) -> None:
    walk = made_walk(make_side, tmp_path, "sqlite", "sqlite")
    install(walk.config)
    walk.add("s1")
    drawn = on_a_terminal(walk.config)
    assert "changes" in drawn
    assert "1/1" in drawn
    walk.add("s2")
    command = [sys.executable, "-m", "cdc_sync", "replicate", "--once", "--config", str(walk.config.path)]
    piped = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout == "server: applied up to batch 2\n"
