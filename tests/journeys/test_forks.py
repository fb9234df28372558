"""Databases restored from a copy, and twins that use the same copy: it is said at once, and nothing is lost by it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cdc_sync import cli, databases, ship
from cdc_sync.config import Config
from cdc_sync.core.chain import NEW_CHAIN, Position
from cdc_sync.errors import CdcSyncError, RejectedBatch, Unreachable
from cdc_sync.transports.direct import Direct
from tests.conftest import Make
from tests.journeys.conftest import Journey, Start
from tests.nodes import Row, Shape, Side, install, replicate, waiting, write_config

SCHEMA = "create table subject (id {pk}, code text not null unique);"
MEMORY = ("outbox", "outbox_part", "receipt")


@pytest.fixture
def files(make_side: Make) -> tuple[Side, Side, Side]:
    """A source and two targets."""
    sides = make_side("sqlite", "source"), make_side("sqlite", "target"), make_side("sqlite", "other")
    for side in sides:
        side.script(SCHEMA)
    return sides


@pytest.fixture
def subjects(start: Start) -> Journey:
    """Two subjects, replicated."""
    journey = start(SCHEMA, {"subject": ["code"]}, Shape("subject", ("code",)))
    journey.arrive("insert into subject (code) values ('s1'), ('s2')")
    return journey


def ours(side: Side) -> str:
    """What the names of our tables begin with."""
    return "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"


def memory(side: Side) -> dict[str, list[Row]]:
    """What a node remembers of its own batches."""
    return {name: sorted(side.rows(f"select * from {ours(side)}{name}")) for name in MEMORY}


@contextmanager
def rewound(side: Side) -> Iterator[None]:
    """What is sealed and delivered within the block, the node has forgotten after it."""
    before = memory(side)
    yield
    for name, rows in before.items():
        side.run(f"delete from {ours(side)}{name}")
        for row in rows:
            side.run(f"insert into {ours(side)}{name} values ({', '.join('?' * len(row))})", row)


def codes(side: Side) -> set[str]:
    return {code for (code,) in side.rows("select code from subject")}


@pytest.mark.parametrize("live", [1, 2, 4])
def test_a_restored_node_is_told_of_it_round_after_round_and_keeps_everything_for_its_destination(
    subjects: Journey, live: int
) -> None:
    with rewound(subjects.source):
        for i in range(live):
            subjects.arrive(f"insert into subject (code) values ('live {i}')")
    arrived, receipts = codes(subjects.target), memory(subjects.source)["receipt"]
    for i in range(1, 6):
        subjects.write(f"insert into subject (code) values ('restored {i}')")
        with pytest.raises(RejectedBatch, match=r"'server' holds a batch \d .* restored from a copy"):
            replicate(subjects.config)
        assert waiting(subjects.config) == i
        assert codes(subjects.target) == arrived
    assert memory(subjects.source)["receipt"] == receipts
    assert len(memory(subjects.source)["outbox_part"]) == 5


def test_a_node_restored_to_before_its_first_batch_is_told_of_it(start: Start) -> None:
    subjects = start(SCHEMA, {"subject": ["code"]}, Shape("subject", ("code",)))
    with rewound(subjects.source):
        subjects.arrive("insert into subject (code) values ('live')")
    for i in range(3):
        with pytest.raises(RejectedBatch, match="'server' holds a batch 1 of node 'laptop'"):
            replicate(subjects.config)
        assert waiting(subjects.config) == i
        subjects.write(f"insert into subject (code) values ('restored {i}')")


def test_a_node_restored_to_where_a_sealed_batch_waited_goes_on(subjects: Journey) -> None:
    """The very same batch is there already, so nothing has forked."""
    subjects.write("insert into subject (code) values ('sealed')")
    seal(subjects.config)
    with rewound(subjects.source):
        subjects.arrive()
    subjects.arrive("insert into subject (code) values ('after')")
    assert waiting(subjects.config) == 0


def seal(config: Config) -> None:
    """Seal what waits, and deliver nothing."""
    with databases.connect(config.node.database, config.folder) as database:
        ship.seal_waiting(database, config)


def test_a_twin_that_is_faster_by_a_moment_is_told_of(subjects: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its batch comes between two receipts of one round; to remember that one would release what never arrived."""
    receipts = memory(subjects.source)["receipt"]
    apply = Direct.apply

    def applied_by_a_twin(*arguments: Any) -> Position:
        there = apply(*arguments)
        return replace(there, stored=there.stored + 1, applied=there.applied + 1, digest=b"the twin's")

    monkeypatch.setattr(Direct, "apply", applied_by_a_twin)
    with pytest.raises(RejectedBatch, match=r"holds a batch 2 .* two machines use the same copy"):
        replicate(subjects.config)
    assert memory(subjects.source)["receipt"] == receipts


def start_anew(config: Config) -> None:
    """What the hint says, word by word."""
    for command in NEW_CHAIN.removeprefix("run ").partition(":")[0].split(", then "):
        result = CliRunner().invoke(cli.main, [*command.split()[1:], "--config", str(config.path)])
        assert result.exit_code == 0, result.output


def test_the_way_out_sends_every_row_and_the_node_goes_on(subjects: Journey) -> None:
    with rewound(subjects.source):
        subjects.arrive("insert into subject (code) values ('live')")
    subjects.write("insert into subject (code) values ('restored')", "update subject set code = 's3' where code = 's1'")
    with pytest.raises(RejectedBatch) as raised:
        replicate(subjects.config)
    assert raised.value.hint == NEW_CHAIN
    start_anew(subjects.config)
    subjects.arrive()
    subjects.arrive("delete from subject where code = 's3'")
    assert waiting(subjects.config) == 0


# --- several destinations, other names, servers that were restored themselves

TABLES = {"subject": ["code"]}


def test_a_fork_at_one_destination_keeps_nothing_from_another(files: tuple[Side, Side, Side], tmp_path: Path) -> None:
    source, server, other = files
    both = write_config(tmp_path, "laptop", source, {"server": server, "other": other}, TABLES)
    install(both)
    source.run("insert into subject (code) values ('s1')")
    replicate(both)
    with rewound(source):
        source.run("insert into subject (code) values ('live')")
        replicate(write_config(tmp_path, "laptop", source, server, TABLES))
    for i in range(2):
        source.run(f"insert into subject (code) values ('restored {i}')")
        with pytest.raises(RejectedBatch, match="'server' holds a batch 2"):
            replicate(write_config(tmp_path, "laptop", source, {"server": server, "other": other}, TABLES))
    assert codes(other) == {"s1", "restored 0", "restored 1"}
    assert codes(server) == {"s1", "live"}
    assert waiting(both) == 2
    assert len(memory(source)["outbox_part"]) == 2


@pytest.mark.parametrize("forked", [False, True])
def test_a_batch_that_went_is_known_by_the_next_one(subjects: Journey, tmp_path: Path, forked: bool) -> None:
    """A destination under another name is a stranger that holds batches, and the newest of those is released here."""
    source, target = subjects.source, subjects.target
    subjects.write("insert into subject (code) values ('s3')")
    seal(subjects.config)
    source.run(f"delete from {ours(source)}outbox where number = 1")
    if forked:
        target.run(f"update {ours(target)}position set digest = ?", (b"another",))
    config = write_config(tmp_path, "laptop", source, {"renamed": target}, TABLES)
    with pytest.raises(RejectedBatch, match="'renamed' holds a batch 1") if forked else nullcontext():
        replicate(config)
    assert (codes(target) == codes(source)) is not forked
    assert waiting(config) == int(forked)


def restore(server: Side, number: int, *lost: str) -> None:
    """Put a server back to where it had applied batches up to this number."""
    server.run(f"delete from {ours(server)}inbox where number > {number}")
    digest = f"(select digest from {ours(server)}inbox where number = {number})"
    server.run(f"update {ours(server)}position set stored = {number}, applied = {number}, digest = {digest}")
    for code in lost:
        server.run("delete from subject where code = ?", (code,))


def test_a_restored_server_gets_again_what_is_held_for_another_destination(
    files: tuple[Side, Side, Side], tmp_path: Path
) -> None:
    source, server, away = files
    Path(away.url.removeprefix("sqlite:///")).unlink()
    config = write_config(tmp_path, "laptop", source, {"server": server, "away": away}, TABLES)
    install(config)
    for code in ("s1", "s2", "s3"):
        source.run("insert into subject (code) values (?)", (code,))
        with pytest.raises(Unreachable):
            replicate(config)
    restore(server, 1, "s2", "s3")
    with pytest.raises(Unreachable):
        replicate(config)
    assert codes(server) == codes(source)


@pytest.mark.parametrize("more", [False, True], ids=["nothing new", "a new row"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_server_that_lost_batches_that_nobody_holds_is_told_of_with_a_way_out(
    subjects: Journey, lost: int, more: bool
) -> None:
    subjects.arrive("insert into subject (code) values ('s3')")
    subjects.arrive("insert into subject (code) values ('s4')")
    restore(subjects.target, 3 - lost, *("s4", "s3")[:lost])
    if more:
        subjects.write("insert into subject (code) values ('s5')")
    with pytest.raises(CdcSyncError, match="the server lost") as raised:
        replicate(subjects.config)
    assert "cdc-sync rejoin" in raised.value.hint
    start_anew(subjects.config)
    subjects.arrive()
    assert waiting(subjects.config) == 0
