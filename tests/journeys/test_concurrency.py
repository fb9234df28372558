"""Six writers with overlapping, long and rolled-back transactions, while the daemon replicates."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from cdc_sync.config import Config
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SCHEMA = "create table counter (id {pk}, code text not null unique, n integer not null, history text not null)"
WRITERS = 6
SECONDS = 6.0
ROWS = 40


def write(side: Side, seed: int, until: float) -> None:
    """Transactions of random length on random rows; one in four is rolled back."""
    chance = random.Random(seed)
    with psycopg.connect(side.url, autocommit=True) as connection:
        while time.monotonic() < until:
            try:
                with connection.transaction() as transaction:
                    _some_changes(connection, chance, seed)
                    if chance.random() < 0.05:
                        time.sleep(chance.random())
                    if chance.random() < 0.25:
                        raise psycopg.Rollback(transaction)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                continue


def _some_changes(connection: psycopg.Connection[tuple[object, ...]], chance: random.Random, seed: int) -> None:
    for _ in range(chance.randint(1, 8)):
        code = f"c{chance.randrange(ROWS)}"
        match chance.randrange(6):
            case 0:
                connection.execute("insert into counter (code, n, history) values (%s, 0, '')", (code,))
            case 1:
                connection.execute("delete from counter where code = %s", (code,))
            case 2:
                connection.execute("update counter set code = %s where code = %s", (f"c{chance.randrange(ROWS)}", code))
            case _:
                change = "update counter set n = n + 1, history = right(history || %s, 60) where code = %s"
                connection.execute(change, (str(seed), code))


def daemon(config: Config) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cdc_sync", "replicate", "--config", str(config.path)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _see_it_at_work(source: Side, target: Side) -> None:
    source.run("insert into counter (code, n, history) values ('first', 0, '')")
    last = time.monotonic() + 30
    while not target.rows("select code from counter"):
        assert time.monotonic() < last, "the daemon replicates nothing"
        time.sleep(0.1)


def test_nothing_is_lost_doubled_or_out_of_order_under_six_writers(
    make_side: Callable[..., Side], tmp_path: Path
) -> None:
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "busy", source, target, {"counter": ["code"]})
    install(config)
    replicator = daemon(config)
    _see_it_at_work(source, target)
    until = time.monotonic() + SECONDS
    writers = [threading.Thread(target=write, args=(source, seed, until)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    replicator.send_signal(signal.SIGTERM)
    _, log = replicator.communicate(timeout=30)
    assert replicator.returncode == 0, log
    assert log.count("sealed batch") > 3
    replicate(config)
    shape = Shape("counter", ("code",), ("n", "history"))
    assert by_natural_key(target, shape) == by_natural_key(source, shape)


def test_a_row_whose_older_transaction_commits_last_arrives_with_its_last_value(
    make_side: Callable[..., Side], tmp_path: Path
) -> None:
    """Ordering by transaction id, as most outbox articles do, ends with the first writer's value here."""
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    source.run("insert into counter (code, n, history) values ('r', 0, '')")
    config = write_config(tmp_path, "ordered", source, target, {"counter": ["code"]})
    install(config, include_existing=True)
    with source.connect() as early, source.connect() as unrelated:
        early.autocommit = unrelated.autocommit = False
        early.execute("select pg_current_xact_id()")
        unrelated.execute("insert into counter (code, n, history) values ('other', 0, '')")
        source.run("update counter set n = 1 where code = 'r'")
        early.execute("update counter set n = 2 where code = 'r'")
        early.commit()
        replicate(config)
        assert target.rows("select code, n from counter") == [("r", 2)]
        unrelated.commit()
    replicate(config)
    assert sorted(target.rows("select code, n from counter")) == [("other", 0), ("r", 2)]
