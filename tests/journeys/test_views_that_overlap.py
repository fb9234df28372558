"""Two views that may show the same row, landing on two views of one table: the row stays while either shows it."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from cdc_sync.errors import SchemaMismatch
from tests.nodes import Side, install, letters, replicate, write_config

TABLES = """
create table subject (id {pk}, code varchar(20) not null unique, kind varchar(10), weight integer, note text);
create table appointment (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, unique (subject_id, number));
create view infant as select id, code, kind, weight from subject where kind = 'infant';
"""
HEAVY = "create view heavy as select id, code, kind, weight, note from subject where weight > 10;"
WITHOUT_KIND = "create view heavy as select id, code, weight, note from subject where weight > 10;"
ADULT = "create view heavy as select id, code, weight, note from subject where weight > 10 and kind = 'adult';"

STATES: dict[str, tuple[str, int] | None] = {
    "both": ("infant", 20),
    "infant": ("infant", 5),
    "heavy": ("adult", 20),
    "neither": ("adult", 5),
    "gone": None,
}
WAYS = [f"{before}-{after}" for before, after in product(STATES, STATES)]
APPOINTED = """select s.code, a.number from appointment a join subject s on s.id = a.subject_id
    where s.kind = 'infant' or s.weight > 10 order by 1, 2"""


def prepare(pair: tuple[Side, Side], folder: Path, heavy: str, **entry: Any) -> Any:
    for side in pair:
        side.script(TABLES + heavy)
    views = {name: {"key": ["code"], **entry} for name in ("infant", "heavy")}
    config = write_config(folder, "laptop", *pair, {"appointment": ["subject_id", "number"]}, views=views)
    install(config)
    return config


def turn(source: Side, way: str) -> None:
    """Have the row go from one state to the other."""
    before, after = (STATES[state] for state in way.split("-"))
    if after is None:
        source.run(f"delete from subject where code = '{way}'")
    elif before is None:
        source.run(f"insert into subject (code, kind, weight) values ('{way}', '{after[0]}', {after[1]})")
    else:
        source.run(f"update subject set kind = '{after[0]}', weight = {after[1]}, note = 'met' where code = '{way}'")


def test_each_row_is_there_as_long_as_one_of_the_views_shows_it(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    config = prepare(pair, tmp_path, HEAVY)
    for way in WAYS:
        turn(source, f"gone-{way.split('-')[0]}")
        source.run(f"update subject set code = '{way}' where code like 'gone-%'")
    source.run("insert into appointment (subject_id, number) select id, 1 from subject where weight > 10")
    replicate(config)
    for way in WAYS:
        turn(source, way)
    replicate(config)
    assert [letter.message for letter in letters(target)] == []
    for query in ("select code, weight from infant order by 1", "select code, kind, note from heavy order by 1"):
        assert target.rows(query) == source.rows(query)
    assert target.rows(APPOINTED) == source.rows(APPOINTED)


def test_a_view_that_does_not_send_what_the_other_ones_rows_are_known_by_is_refused(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    config = prepare(pair, tmp_path, WITHOUT_KIND)
    source.run("insert into subject (code, kind, weight) values ('a', 'infant', 20)")
    with pytest.raises(SchemaMismatch) as refusal:
        replicate(config)
    assert "whether one of these still belongs to 'infant' depends on column 'kind', which 'heavy'" in str(
        refusal.value
    )
    assert target.rows("select count(*) from subject") == [(0,)]


def test_views_that_never_show_the_same_row_are_taken(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    config = prepare(pair, tmp_path, ADULT)
    source.run("insert into subject (code, kind, weight) values ('a', 'infant', 20), ('b', 'adult', 20)")
    replicate(config)
    source.run("update subject set kind = 'adult'")
    replicate(config)
    rows = "select code, kind, weight from subject order by 1"
    assert target.rows(rows) == source.rows(rows) == [("a", "adult", 20), ("b", "adult", 20)]
