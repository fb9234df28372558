"""The commands as a DBA types them: what they print, what they leave, and how they end."""

import json
import os
import pty
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cdc_sync.config import Config
from tests.conftest import Make
from tests.nodes import Row, Shape, Side, by_natural_key, compare, install, replicate, status, write_config
from tests.test_bad_input import everything, run, state, untouched

SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"
SHAPE = Shape("subject", ("code",), ("note",))
PATIENCE = 20.0
"""Seconds that something may take on a busy machine before a test gives up."""


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass(frozen=True)
class Walk:
    """A node and its one destination, both with a table ``subject``."""

    config: Config
    source: Side
    target: Side

    def add(self, *codes: str) -> None:
        for code in codes:
            self.source.run("insert into subject (code) values (?)", (code,))

    def arrived(self) -> list[str]:
        return [code for (code,) in self.target.rows("select code from subject order by code")]


@pytest.fixture
def walk(make_side: Make, tmp_path: Path, kind: str) -> Walk:
    return made_walk(make_side, tmp_path, kind, "sqlite")


def made_walk(make_side: Make, folder: Path, source_kind: str, target_kind: str, schema: str = SUBJECT) -> Walk:
    source, target = make_side(source_kind, "source"), make_side(target_kind, "target")
    source.script(SUBJECT)
    target.script(schema)
    return Walk(write_config(folder, "laptop", source, target, {"subject": ["code"]}), source, target)


def ours(side: Side) -> str:
    return "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"


def captured(side: Side, columns: str = "cdc_sync_op, code") -> list[Row]:
    """What stands in the change table of ``subject``."""
    change = side.rows(f"select change_table from {ours(side)}captured where table_name = 'subject'")[0][0]
    table = f'cdc_sync."{change}"' if side.kind == "postgresql" else f'"{change}"'
    return sorted(side.rows(f"select {columns} from {table}"))


def eventually(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.05)


# --- install-triggers


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


# --- --dry-run


def by_hand(side: Side, script: str) -> None:
    """Run a script as a DBA does, in the database's own shell."""
    if side.kind == "postgresql":
        with psycopg.connect(side.url) as connection:
            connection.execute(script.encode())
        return
    with side.connect() as connection:
        connection.executescript(script)
    connection.close()


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


def test_a_dry_uninstallation_touches_nothing_and_its_script_removes_everything(walk: Walk, tmp_path: Path) -> None:
    install(walk.config)
    walk.add("s1")
    with untouched(tmp_path, walk.source, walk.target):
        script = run("uninstall-triggers", walk.config, "--dry-run")
    by_hand(walk.source, script.stdout)
    assert nothing_of_ours(walk.source)
    walk.add("s2")


# --- uninstall-triggers


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


CHECKED = "create table subject (id {pk}, code text not null unique, note text check (note <> 'refused'));"


def test_sealed_changes_that_are_not_applied_keep_the_triggers(make_side: Make, tmp_path: Path, kind: str) -> None:
    walk = made_walk(make_side, tmp_path, kind, "sqlite", CHECKED)
    install(walk.config)
    walk.source.run("insert into subject (code, note) values ('s1', 'refused')")
    assert run("replicate --once", walk.config).exit_code == 1
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


# --- status


def test_status_says_what_waits(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1", "s2")
    result = run("status", walk.config)
    assert result.exit_code == 0
    assert "node laptop: 0 batches sealed" in result.stdout
    assert "subject: 2 changes to seal" in result.stdout
    replicate(walk.config)
    text = run("status", walk.config).stdout
    assert "node laptop: 1 batches sealed" in text
    assert "to server: stored up to 1, applied up to 1, 0 changes in 0 batches wait" in text


def test_status_speaks_json(walk: Walk) -> None:
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    walk.add("s2")
    said = json.loads(run("status", walk.config, "--json").stdout)
    assert said["node"] == "laptop"
    assert said["sealed"] == 1
    assert said["tables"] == [{"table": "subject", "unsealed": 1}]
    assert said["destinations"] == [
        {"destination": "server", "stored": 1, "applied": 1, "waiting_batches": 0, "waiting_changes": 0}
    ]
    assert said["origins"] == []


VISIT = (
    SUBJECT + "create table visit (id {pk}, code text not null unique, subject_id integer not null references subject);"
)


def test_status_ends_with_3_while_a_batch_of_another_node_waits_for_a_parent(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    laptop, server, central = make_side("sqlite", "laptop"), make_side(kind, "server"), make_side("sqlite", "central")
    for side in (laptop, server, central):
        side.script(VISIT)
    sends = write_config(tmp_path, "laptop", laptop, server, {"visit": ["code"]})
    receives = write_config(tmp_path, "server", server, central, {"visit": ["code"]})
    install(receives)
    laptop.script("insert into subject (id, code) values (1, 's1');")
    install(sends)
    laptop.run("insert into visit (code, subject_id) values ('v1', 1)")
    result = run("replicate --once", sends)
    assert (result.exit_code, result.stderr.split(":")[0]) == (3, "waiting")
    waiting = run("status", receives)
    assert waiting.exit_code == 3
    assert "from laptop: stored up to 1, applied up to 0" in waiting.stdout
    server.run("insert into subject (code) values ('s1')")
    assert run("replicate --once", sends).exit_code == 0
    assert run("status", receives).exit_code == 0


# --- replicate


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


# --- the device key


def test_the_device_key_is_its_owners_and_stands_outside_the_database(walk: Walk) -> None:
    assert run("install-triggers", walk.config).exit_code == 0
    path = walk.config.key_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = load_pem_private_key(path.read_bytes(), password=None).private_bytes_raw()  # type: ignore[union-attr]
    values = repr(state(walk.source)).encode()
    assert repr(secret)[2:-1].encode() not in values
    assert secret.hex().encode() not in values
    assert path.read_bytes().splitlines()[1] not in values


def test_the_device_key_is_made_for_its_owner_whatever_the_umask(walk: Walk) -> None:
    before = os.umask(0)
    try:
        install(walk.config)
    finally:
        os.umask(before)
    assert stat.S_IMODE(walk.config.key_path.stat().st_mode) == 0o600


def test_the_device_key_is_never_overwritten(walk: Walk) -> None:
    install(walk.config)
    key = walk.config.key_path.read_bytes()
    assert run("install-triggers", walk.config).exit_code == 0
    assert run("uninstall-triggers", walk.config).exit_code == 0
    assert walk.config.key_path.read_bytes() == key
    assert run("install-triggers", walk.config).exit_code == 0
    assert walk.config.key_path.read_bytes() == key


# --- who is captured, and who is not


def test_a_node_in_the_middle_captures_its_own_writes_and_not_those_applied(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    laptop, middle, server = make_side("sqlite", "laptop"), make_side(kind, "middle"), make_side("sqlite", "server")
    for side in (laptop, middle, server):
        side.script(SUBJECT)
    first = write_config(tmp_path, "laptop", laptop, middle, {"subject": ["code"]})
    second = write_config(tmp_path, "middle", middle, server, {"subject": ["code"]})
    install(second)
    install(first)
    laptop.script("insert into subject (code) values ('s1'), ('s2'), ('s3');")
    replicate(first)
    laptop.script("update subject set code = 's9' where code = 's1'; delete from subject where code = 's2';")
    laptop.run("update subject set note = 'x' where code = 's3'")
    replicate(first)
    assert [row[0] for row in middle.rows("select code from subject order by code")] == ["s3", "s9"]
    assert [table.unsealed for table in status(second).tables] == [0]
    middle.run("update subject set note = 'middle' where code = 's3'")
    middle.run("insert into subject (code) values ('m1')")
    assert [table.unsealed for table in status(second).tables] == [2]
    replicate(second)
    assert by_natural_key(server, SHAPE) == {("s3",): ("middle",), ("m1",): (None,)}


def test_a_failed_application_leaves_the_middle_node_capturing(make_side: Make, tmp_path: Path, kind: str) -> None:
    laptop, middle, server = make_side("sqlite", "laptop"), make_side(kind, "middle"), make_side("sqlite", "server")
    for side, schema in ((laptop, SUBJECT), (middle, CHECKED), (server, SUBJECT)):
        side.script(schema)
    first = write_config(tmp_path, "laptop", laptop, middle, {"subject": ["code"]})
    second = write_config(tmp_path, "middle", middle, server, {"subject": ["code"]})
    install(second)
    install(first)
    laptop.run("insert into subject (code, note) values ('s1', 'refused')")
    assert run("replicate --once", first).exit_code == 1
    middle.run("insert into subject (code) values ('m1')")
    assert captured(middle) == [("I", "m1")]


@pytest.fixture
def guest(make_side: Make, tmp_path: Path) -> Iterator[tuple[Walk, psycopg.Connection[Row]]]:
    """A PostgreSQL node, and an application whose role may write the table and nothing else."""
    walk = made_walk(make_side, tmp_path, "postgresql", "sqlite")
    install(walk.config)
    role = f"{sa.make_url(walk.source.url).database}_guest"
    walk.source.script(
        f"create role {role} login; grant usage on schema public to {role}; "
        f"grant select, insert, update, delete, truncate on subject to {role}"
    )
    url = sa.make_url(walk.source.url).set(username=role).render_as_string(False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            yield walk, connection
    finally:
        walk.source.script(f"drop owned by {role}; drop role {role}")


Guest = tuple[Walk, psycopg.Connection[Row]]


def test_an_application_with_rights_on_the_table_only_writes_and_is_captured(guest: Guest) -> None:
    walk, application = guest
    application.execute("insert into subject (code) values ('s1'), ('s2')")
    application.execute("update subject set note = 'x' where code = 's1'")
    application.execute("update subject set code = 's9' where code = 's1'")
    application.execute("delete from subject where code = 's2'")
    assert {op for (op,) in captured(walk.source, "cdc_sync_op")} >= {"I", "U", "D", "K"}
    application.execute("truncate subject")
    replicate(walk.config)
    assert walk.arrived() == []


def test_an_application_with_rights_on_the_table_only_sees_nothing_of_ours(guest: Guest) -> None:
    _, application = guest
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("select * from cdc_sync.node")


@pytest.mark.parametrize("scope", ["set", "set local"])
def test_an_application_cannot_mute_the_capture(guest: Guest, scope: str) -> None:
    walk, application = guest
    with application.transaction():
        application.execute(f"{scope} cdc_sync.mute = 'on'")
        application.execute("insert into subject (code) values ('s1'), ('s2'), ('s3')")
        application.execute("update subject set note = 'x' where code = 's1'")
        application.execute("update subject set code = 's9' where code = 's2'")
        application.execute("delete from subject where code = 's3'")
        application.execute("truncate subject")
    ops = [op for (op,) in captured(walk.source, "cdc_sync_op")]
    assert (ops.count("I"), ops.count("K"), ops.count("D")) == (3, 1, 3)
    assert "U" in ops


def test_a_temporary_table_of_the_applications_does_not_lead_the_capture_astray(guest: Guest) -> None:
    """A role's own search_path and look-alikes in it reach nothing of ours."""
    walk, application = guest
    application.execute("create temporary table subject_shadow (code text)")
    application.execute("set search_path = pg_temp, public")
    application.execute("insert into public.subject (code) values ('s1')")
    assert captured(walk.source) == [("I", "s1")]
