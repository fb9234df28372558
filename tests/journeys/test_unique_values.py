"""Values that must be unique change hands within a batch: between rows, and from deleted rows to new ones."""

from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SCHEMA = """
create table subject (
    id {pk}, code text not null unique, phone text unique, bed integer not null unique, ward text, place integer,
    unique (ward, place));
"""
SHAPE = Shape("subject", ("code",), ("phone", "bed", "ward", "place"))
Journey = tuple[Side, Side, Config]


@pytest.fixture
def journey(pair: tuple[Side, Side], tmp_path: Path) -> Journey:
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    for i in range(1, 6):
        source.run(
            "insert into subject (code, phone, bed, ward, place) values (?, ?, ?, 'w', ?)", (f"s{i}", f"p{i}", i, i)
        )
    replicate(config)
    return source, target, config


STORIES = {
    "a deleted row's values": [
        "delete from subject where code = 's1'",
        "insert into subject (code, phone, bed, ward, place) values ('s9', 'p1', 1, 'w', 1)",
    ],
    "two rows exchange nullable values": [
        "update subject set phone = null where code = 's1'",
        "update subject set phone = 'p1' where code = 's2'",
        "update subject set phone = 'p2' where code = 's1'",
    ],
    "two rows exchange values that may not be null": [
        "update subject set bed = 99 where code = 's1'",
        "update subject set bed = 1 where code = 's2'",
        "update subject set bed = 2 where code = 's1'",
    ],
    "two rows exchange a value of two columns": [
        "update subject set place = 99 where code = 's1'",
        "update subject set place = 1 where code = 's2'",
        "update subject set place = 2 where code = 's1'",
    ],
    "a ring of five": [
        "update subject set bed = bed + 100",
        "update subject set bed = case bed when 105 then 1 else bed - 99 end",
    ],
    "a renamed row gives its values to a new one": [
        "update subject set code = 's8', phone = 'p8', bed = 8, place = 8 where code = 's1'",
        "insert into subject (code, phone, bed, ward, place) values ('s1', 'p1', 1, 'w', 1)",
    ],
    "a key and its values change places": [
        "update subject set code = 'aside', bed = 99, phone = null, place = 99 where code = 's1'",
        "update subject set code = 's1', bed = 1, phone = 'p1', place = 1 where code = 's2'",
        "update subject set code = 's2', bed = 2, phone = 'p2', place = 2 where code = 'aside'",
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_unique_values_change_hands_within_a_batch(journey: Journey, story: list[str]) -> None:
    source, target, config = journey
    for statement in story:
        source.run(statement)
    replicate(config)
    assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)


def test_a_row_that_steps_aside_takes_no_value_that_another_is_to_get(pair: tuple[Side, Side], tmp_path: Path) -> None:
    """The highest bed plus one is where the ring is going next."""
    source, target = pair
    for side in pair:
        side.script("create table bed (id {pk}, number integer not null unique)")
    config = write_config(tmp_path, "laptop", source, target, {"bed": ["number"]})
    install(config)
    source.run("insert into bed (id, number) values (4, 0), (1, 2), (2, 1)")
    replicate(config)
    source.run("delete from bed where id = 2")
    for number in (2, 0):
        source.run("update bed set number = number + 1 where number = ?", (number,))
    replicate(config)
    assert target.rows("select number from bed order by number") == [(1,), (3,)]
