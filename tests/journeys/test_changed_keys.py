"""Whatever happened to keys at the source, renamed, swapped or entered again, the server's own primary keys stay."""

from pathlib import Path

from tests.conftest import Make
from tests.journeys.conftest import HOUSE_KEYS, HOUSES, HOUSES_AT_SERVER, SITE, Journey, Pair
from tests.nodes import (
    Shape,
    Side,
    by_natural_key,
    install,
    letters,
    replicate,
    write_config,
)


def test_a_renamed_key_keeps_the_servers_id_and_its_children(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site"), houses.ids("bed")
    houses.arrive("update area set code = 'renamed', note = 'new' where code = 'north'")
    assert houses.ids("area")[("renamed",)] == before[0][("north",)]
    assert houses.ids("site")[("renamed", "main")] == before[1][("north", "main")]
    assert houses.ids("bed")[("renamed", "main", 1, "b")] == before[2][("north", "main", 1, "b")]


def test_a_key_renamed_at_every_level_at_once_keeps_the_servers_ids(houses: Journey) -> None:
    before = {table: sorted(houses.ids(table).values()) for table in HOUSE_KEYS}
    houses.arrive(
        "update bed set letter = 'z' where letter = 'a'",
        "update room set number = number + 100",
        "update site set name = 'old ' || name",
        "update area set code = 'old ' || code",
    )
    assert {table: sorted(houses.ids(table).values()) for table in HOUSE_KEYS} == before


def test_a_row_renamed_and_then_deleted_is_gone(houses: Journey) -> None:
    houses.arrive("update area set code = 'doomed' where code = 'north'", "delete from area where code = 'doomed'")
    assert ("north",) not in houses.ids("area")


def test_a_chain_of_renames_in_one_transaction_moves_each_row_once(houses: Journey) -> None:
    before = houses.ids("area")
    houses.arrive(
        "update area set code = 'c' where code = 'south'", "update area set code = 'south' where code = 'north'"
    )
    after = houses.ids("area")
    assert (after[("c",)], after[("south",)]) == (before[("south",)], before[("north",)])


def test_two_rows_that_swap_their_keys_keep_their_server_ids(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("bed")
    houses.arrive(
        "update area set code = 'meanwhile' where code = 'north'",
        "update area set code = 'north' where code = 'south'",
        "update area set code = 'south' where code = 'meanwhile'",
    )
    after = houses.ids("area"), houses.ids("bed")
    assert (after[0][("north",)], after[0][("south",)]) == (before[0][("south",)], before[0][("north",)])
    assert after[1][("south", "main", 1, "b")] == before[1][("north", "main", 1, "b")]


def test_numbers_that_all_shift_by_one_keep_their_server_ids(houses: Journey) -> None:
    houses.arrive("insert into room (id, site_id, number) values (5, 1, 3), (6, 1, 4)")
    before = houses.ids("room")
    houses.arrive(*(f"update room set number = {n + 1} where site_id = 1 and number = {n}" for n in (4, 3, 2, 1)))
    after = houses.ids("room")
    assert [after["north", "main", n + 1] for n in (1, 2, 3, 4)] == [before["north", "main", n] for n in (1, 2, 3, 4)]


def test_a_row_deleted_and_entered_again_keeps_the_servers_id(houses: Journey) -> None:
    before = houses.ids("bed")
    houses.arrive(
        "delete from bed where id = 1", "insert into bed (id, room_id, letter, note) values (71, 1, 'a', 'again')"
    )
    assert houses.ids("bed") == before


def test_a_parent_deleted_and_entered_again_keeps_the_servers_id_and_its_new_children(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site")
    houses.arrive(
        "delete from area where code = 'north'",
        "insert into area (id, code) values (71, 'north')",
        "insert into site (id, area_id, name) values (71, 71, 'main'), (72, 71, 'tent')",
    )
    assert houses.ids("area") == before[0]
    assert houses.ids("site")["north", "main"] == before[1]["north", "main"]


def test_a_parent_deleted_with_cascade_takes_its_children_along(houses: Journey) -> None:
    houses.arrive("delete from area where code = 'south'")
    assert houses.ids("bed").keys() == {("server", "main", 1, "a")} | {
        ("north", "main", 1, "a"),
        ("north", "main", 1, "b"),
        ("north", "main", 2, "a"),
    }


def test_a_child_moved_before_its_old_parent_is_deleted_stays(houses: Journey) -> None:
    before = houses.ids("site"), houses.ids("bed")
    houses.arrive("update site set area_id = 1 where name = 'annex'", "delete from area where code = 'south'")
    assert houses.ids("site")["north", "annex"] == before[0]["south", "annex"]
    assert houses.ids("bed")["north", "annex", 1, "a"] == before[1]["south", "annex", 1, "a"]


def test_a_child_moved_to_a_parent_entered_in_the_same_transaction_stays(houses: Journey) -> None:
    before = houses.ids("room")
    houses.arrive(
        "insert into area (id, code) values (8, 'east')",
        "insert into site (id, area_id, name) values (8, 8, 'camp')",
        "update room set site_id = 8, number = 12 where id = 2",
        "delete from site where id = 1",
    )
    assert houses.ids("room")["east", "camp", 12] == before["north", "main", 2]


def test_a_row_inserted_and_deleted_in_one_batch_leaves_nothing(houses: Journey) -> None:
    before = {table: houses.ids(table) for table in HOUSE_KEYS}
    houses.arrive(
        "insert into area (id, code) values (8, 'brief')",
        "insert into site (id, area_id, name) values (8, 8, 'brief')",
        "update area set code = 'briefer' where id = 8",
        "delete from area where id = 8",
    )
    assert {table: houses.ids(table) for table in HOUSE_KEYS} == before


def test_a_primary_key_used_again_by_another_row_is_not_the_same_row(houses: Journey) -> None:
    before = houses.ids("area"), houses.ids("site")
    houses.arrive(
        "delete from area where id = 2",
        "insert into area (id, code) values (2, 'other')",
        "insert into site (id, area_id, name) values (2, 2, 'main')",
    )
    after = houses.ids("area"), houses.ids("site")
    assert ("south",) not in after[0]
    assert after[0][("other",)] not in before[0].values()
    assert after[1]["other", "main"] not in before[1].values()


def test_a_rename_to_a_key_of_the_servers_own_waits_alone_and_changes_nothing(houses: Journey) -> None:
    before = houses.ids("area")
    houses.write(
        "update area set code = 'server' where code = 'north'", "update area set note = 'x' where code = 'south'"
    )
    replicate(houses.config)
    assert houses.ids("area") == before
    assert houses.target.rows("select note from area where code = 'south'") == [("x",)]
    (letter,) = letters(houses.target)
    assert "update_exists" in letter.message


def test_a_conflict_resolved_at_the_server_lets_the_row_through(houses: Journey) -> None:
    houses.write("update area set code = 'server' where code = 'north'")
    assert [item.waiting for item in replicate(houses.config)] == [{"held": 1}]
    houses.target.run("update area set code = 'made way' where code = 'server'")
    replicate(houses.config)
    assert houses.ids("area").keys() == {("server",), ("south",), ("made way",)}


def test_the_same_subject_from_two_nodes_becomes_one_row_with_both_nodes_children(
    pair: Pair, make_side: Make, tmp_path: Path
) -> None:
    first, server = pair
    second = make_side(first.kind, "second")
    for side in (first, second, server):
        side.script(HOUSES)
    server.script(HOUSES_AT_SERVER)
    for name, side, site in (("one", first, "tent"), ("two", second, "hut")):
        config = write_config(tmp_path, name, side, server, HOUSE_KEYS)
        install(config)
        side.run("insert into area (id, code) values (1, 'shared')")
        side.run("insert into site (area_id, name) values (1, ?)", (site,))
        replicate(config)
    assert by_natural_key(server, Shape("area", ("code",))).keys() == {("server",), ("shared",)}
    sites = by_natural_key(server, SITE).keys()
    assert sites == {("server", "main"), ("shared", "tent"), ("shared", "hut")}


# --- what random programs found


def test_a_renumbered_row_that_refers_to_itself_and_is_deleted_leaves_nothing(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t (id {pk}, k text not null unique,"
            " parent integer references t (id) on delete cascade on update cascade)"
        )
    config = write_config(tmp_path, "found", source, target, {"t": ["k"]})
    install(config)
    with source.transaction():
        source.run("insert into t (id, k) values (2, 'a')")
        source.run("update t set parent = 2 where id = 2")
    with source.transaction():
        source.run("update t set id = 4 where id = 2")
        source.run("delete from t where id = 4")
    replicate(config)
    assert target.rows("select count(*) from t") == [(0,)]


def test_a_row_keyed_by_a_renamed_parent_is_deleted_though_the_targets_cascade_moved_it(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t0 (id {pk}, k text not null unique);"
            "create table t1 (f0 text not null references t0 (k) on delete cascade on update cascade,"
            " f1 integer not null references t0 (id) on delete cascade on update cascade, primary key (f0, f1))"
        )
    config = write_config(tmp_path, "found", source, target, {"t0": ["k"], "t1": ["f0", "f1"]})
    install(config)
    source.run("insert into t0 (id, k) values (2, 'c')")
    source.run("insert into t1 values ('c', 2)")
    replicate(config)
    source.run("delete from t1")
    source.run("update t0 set k = 'b' where id = 2")
    replicate(config)
    assert target.rows("select k from t0") == [("b",)]
    assert target.rows("select count(*) from t1") == [(0,)]


def test_a_row_that_refers_twice_to_a_renumbered_parent_stays_one_row(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script(
            "create table t0 (id {pk}, k text not null unique);"
            "create table t1 (f0 integer not null references t0 (id) on delete cascade on update cascade,"
            " f1 integer not null references t0 (id) on delete cascade on update cascade, primary key (f0, f1))"
        )
    config = write_config(tmp_path, "found", source, target, {"t0": ["k"], "t1": ["f0", "f1"]})
    install(config)
    source.run("insert into t0 (id, k) values (5, 'c'), (1, 'a')")
    source.run("insert into t1 values (5, 5)")
    source.run("update t0 set id = 4 where id = 5")
    replicate(config)
    joined = "select a.k, b.k from t1 join t0 a on a.id = t1.f0 join t0 b on b.id = t1.f1"
    assert target.rows(joined) == source.rows(joined) == [("c", "c")]
