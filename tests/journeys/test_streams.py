"""A batch streams to a target that can stage it while it is read; whatever breaks the stream, nothing is lost by it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync import apply, inbox
from cdc_sync.apply import batch
from cdc_sync.apply.work import Work
from cdc_sync.config import Config
from cdc_sync.core.wire import PartRows
from cdc_sync.errors import DatabaseError, RejectedBatch
from cdc_sync.transports import channel
from cdc_sync.transports.direct import Direct
from tests.nodes import Side, install, received, replicate, status, waiting, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique);
create table specimen (id {pk}, code text not null unique);
create table visit (
    id {pk}, code text not null, subject_id integer not null references subject (id), unique (subject_id, code)
);
"""

KEYS = {"subject": ["code"], "specimen": ["code"], "visit": ["subject_id", "code"]}


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, make_side: Callable[..., Side], tmp_path: Path) -> tuple[Side, Side, Config]:
    """A source of either kind, a PostgreSQL target, and a first batch that has arrived."""
    source, target = make_side(request.param, "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, KEYS)
    install(config)
    write(source, 1)
    replicate(config)
    return source, target, config


def write(source: Side, *numbers: int) -> None:
    for number in numbers:
        source.run("insert into subject (code) values (?)", (f"s{number}",))
        source.run("insert into specimen (code) values (?)", (f"b{number}",))


def codes(side: Side) -> list[tuple[Any, ...]]:
    return side.rows("select code from subject union all select code from specimen order by code")


def unsealed(config: Config) -> int:
    return sum(table.unsealed for table in status(config).tables)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A note for each batch that takes the ordinary road."""
    notes: list[str] = []
    ordinary = Direct.send

    def send(*arguments: Any) -> None:
        notes.append("sent")
        ordinary(*arguments)

    monkeypatch.setattr(Direct, "send", send)
    return notes


def test_a_batch_streams_to_a_target_that_is_up_to_date(node: tuple[Side, Side, Config], sent: list[str]) -> None:
    source, target, config = node
    write(source, 2)
    (delivered,) = replicate(config)
    assert sent == []
    assert delivered.receipt.applied == 2
    assert codes(target) == codes(source)
    assert (received(config, target).stored, received(config, target).applied) == (2, 2)
    assert unsealed(config) == 0


def test_a_batch_does_not_stream_past_one_that_waits(
    node: tuple[Side, Side, Config], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, config = node
    write(source, 2)
    with monkeypatch.context() as patch:
        patch.setattr(apply, "apply_next", lambda *_: None)
        patch.setattr(inbox.DatabaseInbox, "stream", lambda *_: None)
        replicate(config)
    write(source, 3)
    replicate(config)
    assert sent == ["sent", "sent"]
    assert codes(target) == codes(source)


def test_a_batch_does_not_stream_into_a_fork(
    node: tuple[Side, Side, Config], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, config = node
    target.run("update cdc_sync.position set digest = 'of another batch 1'")
    arrived = codes(target)
    write(source, 2)
    staged: list[str] = []
    monkeypatch.setattr(apply, "Batch", lambda *_, **__: staged.append("staged"))
    with pytest.raises(RejectedBatch, match="restored from a copy"):
        replicate(config)
    assert (staged, sent) == ([], [])
    assert codes(target) == arrived
    assert waiting(config) == 2


def test_a_stream_whose_connection_dies_loses_nothing(
    node: tuple[Side, Side, Config], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, config = node
    write(source, 2)
    load, died = apply.Batch.load, []

    def die_once(batch: apply.Batch, table: str, rows: PartRows) -> None:
        if not died:
            died.append(batch.stage.session.driver.info.backend_pid)
            target.run(f"select pg_terminate_backend({died[0]}, 5000)")
        load(batch, table, rows)

    monkeypatch.setattr(apply.Batch, "load", die_once)
    replicate(config)
    assert died
    assert sent == ["sent"]
    assert codes(target) == codes(source)


def test_an_application_whose_connection_dies_is_an_error_that_can_be_told_and_nothing_is_lost(
    node: tuple[Side, Side, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, config = node
    write(source, 2)

    def die(batch: apply.Batch, *_: object) -> None:
        target.run(f"select pg_terminate_backend({batch.stage.session.driver.info.backend_pid}, 5000)")
        batch.stage.session.query(sa.select(sa.literal_column("1")))

    with monkeypatch.context() as patch, pytest.raises(DatabaseError) as raised:
        patch.setattr(apply.Batch, "load", die)
        replicate(config)
    assert raised.value.temporary
    assert codes(target) != codes(source)
    replicate(config)
    assert codes(target) == codes(source)


@pytest.fixture
def blocked(node: tuple[Side, Side, Config]) -> Iterator[threading.Event]:
    """The target keeps its position locked until the event is set."""
    _, target, _ = node
    free, locked = threading.Event(), threading.Event()

    def block() -> None:
        with psycopg.connect(target.url) as connection:
            connection.execute("select from cdc_sync.position for update")
            locked.set()
            free.wait(60)

    thread = threading.Thread(target=block)
    thread.start()
    locked.wait(60)
    yield free
    free.set()
    thread.join()


def test_a_seal_does_not_wait_for_a_target_that_stages_slowly(
    node: tuple[Side, Side, Config], blocked: threading.Event, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target, config = node
    monkeypatch.setattr(channel, "PATIENCE", 0.2)
    monkeypatch.setattr(channel, "WAITING", 1)
    write(source, 2)
    replicating = threading.Thread(target=replicate, args=(config,))
    replicating.start()
    deadline = time.monotonic() + 30
    while unsealed(config) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert unsealed(config) == 0
    blocked.set()
    replicating.join()
    assert codes(target) == codes(source)
    assert sent == ["sent"]


@pytest.fixture
def flowing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every part is written as soon as it is staged; a note for each."""
    notes: list[str] = []
    flow = Work.flow

    def noted(work: Work) -> bool:
        notes.append(work.section.table)
        return flow(work)

    monkeypatch.setattr(batch, "FLOW", 1)
    monkeypatch.setattr(Work, "flow", noted)
    return notes


def visits(side: Side) -> list[tuple[Any, ...]]:
    return side.rows("select s.code, v.code from visit v join subject s on s.id = v.subject_id order by s.code, v.code")


def visit(side: Side, subject: int, *codes: str) -> None:
    for code in codes:
        side.run("insert into visit (code, subject_id) select ?, id from subject where code = ?", (code, f"s{subject}"))


def test_new_rows_are_written_while_the_rest_is_read_parents_first(
    node: tuple[Side, Side, Config], sent: list[str], flowing: list[str]
) -> None:
    source, target, config = node
    write(source, 2, 3)
    visit(source, 2, "v1", "v2")
    visit(source, 3, "v1")
    replicate(config)
    assert (flowing, sent) == (["specimen", "subject", "visit"], [])
    assert (codes(target), visits(target)) == (codes(source), visits(source))
    target.run("insert into subject (code) values ('of the server''s own')")
    source.run("update subject set code = 's4' where code = 's3'")
    replicate(config)
    assert visits(target) == visits(source)


def test_rows_that_turn_out_not_to_be_new_take_the_ordinary_road(
    node: tuple[Side, Side, Config], sent: list[str], flowing: list[str]
) -> None:
    source, target, config = node
    target.run("insert into subject (code) values ('s3')")
    write(source, 2, 3, 4)
    visit(source, 3, "v1")
    replicate(config)
    assert flowing == ["specimen", "subject"]
    assert sent == ["sent"]
    assert (codes(target), visits(target)) == (codes(source), visits(source))


def test_a_row_that_comes_and_goes_in_a_batch_is_not_written_ahead(
    node: tuple[Side, Side, Config], sent: list[str], flowing: list[str]
) -> None:
    source, target, config = node
    write(source, 2, 3)
    source.run("delete from subject where code = 's2'")
    source.run("insert into subject (code) values ('s2')")
    replicate(config)
    assert (flowing, sent) == ([], [])
    assert codes(target) == codes(source)
