"""Many laptops and one server, all at the same time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cdc_sync import apply, databases, receive
from cdc_sync.core.conflicts import Policies
from tests.conftest import Make
from tests.journeys.test_model import batch_of
from tests.nodes import Side, install, letters, replicate, write_config

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
LAPTOPS, CHANGES = (200, 500) if DEEP else (12, 60)
SCHEMA = """
create table site (id {pk}, code text not null unique, note text);
create table subject (id {pk}, site_id integer not null references site (id), code text not null, note text,
    unique (site_id, code));
"""
KEYS = {"site": ["code"], "subject": ["site_id", "code"]}


def fill(side: Side, name: str) -> None:
    """Sites that every laptop has, and subjects of its own."""
    with side.transaction():
        for i in range(5):
            side.run("insert into site (id, code, note) values (?, ?, ?)", (i, f"site {i}", name))
        for i in range(CHANGES - 5):
            side.run("insert into subject (site_id, code) values (?, ?)", (i % 5, f"{name} {i}"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_laptops_that_replicate_at_the_same_time_all_arrive(make_side: Make, tmp_path: Path, kind: str) -> None:
    if DEEP and kind == "sqlite":
        pytest.skip("one file takes one writer at a time: 12 laptops show it as well as 200")
    server = make_side(kind, "server")
    server.script(SCHEMA)
    configs = []
    for i in range(LAPTOPS):
        side = make_side("sqlite", f"laptop{i}")
        side.script(SCHEMA)
        configs.append(write_config(tmp_path, f"laptop{i}", side, server, KEYS))
        install(configs[-1])
        fill(side, f"laptop{i}")
        side.close()
    with ThreadPoolExecutor(8) as pool:
        for delivered in pool.map(replicate, configs):
            assert [item.waiting for item in delivered] == [{}]
    assert server.rows("select count(*) from site") == [(5,)]
    assert server.rows("select count(*) from subject") == [(LAPTOPS * (CHANGES - 5),)]
    assert letters(server) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_batches_of_many_origins_that_are_stored_are_applied_side_by_side(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    server, nowhere = make_side(kind, "server"), make_side("sqlite", "nowhere")
    for side in (server, nowhere):
        side.script(SCHEMA)
    with databases.connect(server.url) as database:
        receive.prepare(database)
        for i in range(8):
            side = make_side("sqlite", f"laptop{i}")
            side.script(SCHEMA)
            config = write_config(tmp_path, f"laptop{i}", side, nowhere, KEYS)
            install(config)
            fill(side, f"laptop{i}")
            batch_of(config, side, database)
        assert apply.drain(database, Policies()) == 8
        assert apply.drain(database, Policies()) == 0
    assert server.rows("select count(*) from site") == [(5,)]
    assert server.rows("select count(*) from subject") == [(8 * (CHANGES - 5),)]
    assert letters(server) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_node_in_the_middle_applies_what_was_stored_there_and_not_applied(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    middle, centre, laptop = make_side(kind, "middle"), make_side("sqlite", "centre"), make_side("sqlite", "laptop")
    for side in (middle, centre, laptop):
        side.script(SCHEMA)
    config = write_config(tmp_path, "middle", middle, centre, KEYS)
    install(config)
    sends = write_config(tmp_path, "laptop", laptop, centre, KEYS)
    install(sends)
    fill(laptop, "laptop")
    with databases.connect(middle.url) as database:
        batch_of(sends, laptop, database)
    replicate(config)
    assert middle.rows("select count(*) from subject") == [(CHANGES - 5,)]
