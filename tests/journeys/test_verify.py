"""``verify`` finds every row that a destination lacks or holds otherwise, and none that is merely on its way."""

from collections.abc import Sequence

import pytest

from cdc_sync import candidates, databases
from cdc_sync import verify as node_verify
from cdc_sync.config import Config
from cdc_sync.verify import EXTRA, Verified
from tests.journeys.conftest import Journey, Start
from tests.nodes import Shape, replicate

Found = dict[str, dict[str, list[tuple[str, ...]]]]


def verify(config: Config, *tables: str, repair: bool = False) -> list[Verified]:
    """What ``cdc-sync verify`` does."""
    with databases.connect(config.node.database, config.folder) as database:
        return node_verify.verify(database, config, tables, repair=repair)


def found(reports: Sequence[Verified]) -> Found:
    """What is wrong, by table, with sorted keys."""
    return {r.table: {what: sorted(keys) for what, keys in r.keys.items()} for r in reports if r.keys}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and groups so small that every test has several."""
    monkeypatch.setattr(candidates, "PAGE", 2)
    monkeypatch.setattr(candidates, "GROUP", 2)
    monkeypatch.setattr(node_verify, "PATIENCE", 2.0)


OWN = {
    "area": {EXTRA: [("server",)]},
    "site": {EXTRA: [("server", "main")]},
    "room": {EXTRA: [("server", "main", "1")]},
    "bed": {EXTRA: [("server", "main", "1", "a")]},
}


def test_what_was_replicated_is_equal_and_rows_of_the_server_are_listed(houses: Journey) -> None:
    reports = verify(houses.config)
    assert [(r.table, r.rows, r.missing, r.different, r.waiting) for r in reports] == [
        ("area", 2, 0, 0, 0),
        ("site", 3, 0, 0, 0),
        ("room", 4, 0, 0, 0),
        ("bed", 5, 0, 0, 0),
    ]
    assert found(reports) == OWN
    assert not any(report.differs(exact=False) for report in reports)
    assert all(report.differs(exact=True) for report in reports)


def test_rows_that_are_missing_or_different_are_named_by_natural_key_and_repaired(houses: Journey) -> None:
    south = "(select id from area where code = 'south')"
    houses.target.run("update area set note = 'otherwise' where code = 'north'")
    houses.target.run(f"update site set note = 'otherwise' where name = 'annex' and area_id = {south}")
    houses.target.run("delete from bed where letter = 'b'")
    houses.target.run(f"delete from site where area_id = {south} and name = 'main'")
    reports = verify(houses.config, repair=True)
    wrong = {table: {k: v for k, v in kinds.items() if k != EXTRA} for table, kinds in found(reports).items()}
    assert wrong == {
        "area": {"different": [("north",)]},
        "site": {"different": [("south", "annex")], "missing": [("south", "main")]},
        "room": {"missing": [("south", "main", "1")]},
        "bed": {"missing": [("north", "main", "1", "b"), ("south", "main", "1", "a")]},
    }
    assert [report.repaired for report in reports] == [1, 2, 1, 2]
    assert [report.waiting for report in verify(houses.config)] == [1, 2, 1, 2]
    houses.arrive()
    assert found(verify(houses.config)) == OWN


def test_a_reference_to_another_parent_is_different_whatever_the_ids(start: Start) -> None:
    schema = """
        create table place (id {pk}, code varchar(20) not null unique);
        create table visit (id {pk}, code varchar(20) not null unique, place_id integer references place (id));
    """
    journey = start(
        schema, {"place": ["code"], "visit": ["code"]}, server="insert into place (id, code) values (7, 'elsewhere')"
    )
    journey.write(
        "insert into place (id, code) values (1, 'a'), (2, 'b')",
        "insert into visit (code, place_id) values ('v1', 1), ('v2', 2), ('v3', null), ('v4', null), ('v5', 2)",
    )
    replicate(journey.config)
    assert not any(report.differs(exact=False) for report in verify(journey.config))
    journey.target.run("update visit set place_id = (select id from place where code = 'b') where code = 'v1'")
    journey.target.run("update visit set place_id = null where code = 'v2'")
    journey.target.run("update visit set place_id = 7 where code = 'v3'")
    assert found(verify(journey.config, "visit", repair=True)) == {"visit": {"different": [("v1",), ("v2",), ("v3",)]}}
    replicate(journey.config)
    assert found(verify(journey.config, "visit")) == {}


def test_changes_on_their_way_are_no_differences(houses: Journey) -> None:
    """Every kind of change, not sealed: of rows, and of the parents that their keys run through."""
    houses.write(
        "update area set code = 'east' where code = 'south'",
        "insert into area (id, code) values (8, 'new')",
        "update site set note = 'changed' where id = 1",
        "delete from room where id = 2",
        "insert into bed (id, room_id, letter) values (9, 1, 'z')",
    )
    reports = verify(houses.config)
    assert found(reports) == OWN
    assert [(report.missing, report.different) for report in reports] == [(0, 0)] * 4
    assert [report.waiting > 0 for report in reports] == [True] * 4
    houses.arrive()
    reports = verify(houses.config)
    assert found(reports) == OWN
    assert [report.waiting for report in reports] == [0] * 4


SHAPE = Shape("subject", ("code",), ("note",))
