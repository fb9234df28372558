"""Views that are synced: what they show of a table arrives in a table of the view's name, and nothing besides."""

from pathlib import Path

import pytest

from cdc_sync import capture, databases, resync, verify
from tests.conftest import Make
from tests.nodes import Side, install, replicate, status, write_config

SCHEMA = """
create table site (id {pk}, code text not null unique);
create table subject (id {pk}, code text not null unique, kind text not null, weight integer, note text, secret text,
    site_id integer references site (id));
create view infant as select id, code as infant_code, weight, weight * 10 as tenth, 'proxy' as made, site_id
    from subject where kind = 'infant';
"""
SERVER = """
create table site (id {pk}, code text not null unique);
create table subject (id {pk}, code text not null unique, kind text not null, weight integer, note text, secret text,
    site_id integer references site (id));
create table infant (id {pk}, infant_code text not null unique, weight integer, tenth integer, made text,
    site_id integer references site (id));
"""
SHOWN = """select v.infant_code, v.weight, v.tenth, v.made, s.code
    from infant v left join site s on s.id = v.site_id order by v.infant_code"""
INFANT: dict[str, object] = {"key": ["infant_code"]}


class Node:
    """A laptop with a view, and a server with a table of its name."""

    def __init__(self, pair: tuple[Side, Side], folder: Path, *, table: bool = False, **view: object) -> None:
        self.source, self.target = pair
        self.source.script(SCHEMA)
        self.target.script(SERVER)
        tables: dict[str, object] = {"site": ["code"]} | ({"subject": ["code"]} if table else {})
        self.config = write_config(folder, "laptop", *pair, tables, views={"infant": INFANT | view})

    def arrive(self, *statements: str) -> None:
        """Write in one transaction, replicate, and check that the server's table is what the view shows."""
        with self.source.transaction():
            for statement in statements:
                self.source.run(statement)
        replicate(self.config)
        assert self.target.rows(SHOWN) == self.source.rows(SHOWN)


@pytest.fixture
def laptop(pair: tuple[Side, Side], tmp_path: Path) -> Node:
    node = Node(pair, tmp_path)
    install(node.config)
    return node


def test_rows_of_the_view_arrive_under_its_name_and_in_its_columns(laptop: Node) -> None:
    laptop.arrive(
        "insert into site (code) values ('north')",
        "insert into subject (code, kind, weight, site_id) values ('s1', 'infant', 3, 1), ('s2', 'adult', 70, 1)",
    )
    assert laptop.target.rows("select infant_code, weight, tenth, made from infant") == [("s1", 3, 30, "proxy")]
    assert laptop.target.rows("select count(*) from subject") == [(0,)]


def test_rows_enter_the_view_as_inserts_and_leave_it_as_deletes(laptop: Node) -> None:
    laptop.arrive("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")
    laptop.arrive("update subject set kind = case when kind = 'adult' then 'infant' else 'adult' end")
    assert [code for code, *_ in laptop.target.rows(SHOWN)] == ["s2"]
    laptop.arrive("update subject set code = code || 'x', kind = 'infant', weight = weight + 1")
    laptop.arrive("update subject set code = code || 'y' where code = 's1x'", "delete from subject where code = 's2x'")
    laptop.arrive("update subject set weight = 5, kind = 'adult'", "update subject set kind = 'infant'")
    laptop.arrive("delete from subject")


def test_changes_outside_of_the_view_send_nothing(laptop: Node) -> None:
    laptop.arrive("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")
    laptop.source.run("update subject set note = 'n', secret = 'x'")
    laptop.source.run("update subject set weight = 71 where kind = 'adult'")
    laptop.source.run("insert into subject (code, kind) values ('s3', 'adult')")
    laptop.source.run("delete from subject where code = 's3'")
    assert [table.unsealed for table in status(laptop.config).tables if table.table == "infant"] == [0]
    assert [delivered.receipt.applied for delivered in replicate(laptop.config)] == [1]


def test_an_update_outside_of_the_view_is_sent_where_nothing_is_compared(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    node = Node(pair, tmp_path, skip_unchanged=False)
    install(node.config)
    node.arrive("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")
    node.source.run("update subject set note = 'n'")
    assert [table.unsealed for table in status(node.config).tables if table.table == "infant"] == [1]
    node.arrive("update subject set weight = 4 where code = 's1'")


def test_columns_that_the_view_does_not_show_are_not_captured(laptop: Node) -> None:
    laptop.source.run("insert into subject (code, kind, note, secret) values ('s1', 'infant', 'noted', 'hidden')")
    postgresql = laptop.source.kind == "postgresql"
    captured, schema = ("cdc_sync.captured", "cdc_sync.") if postgresql else ("cdc_sync_captured", "")
    ((change,),) = laptop.source.rows(f"select change_table from {captured} where table_name = 'subject'")
    (row,) = laptop.source.rows(f'select * from {schema}"{change}"')
    assert "s1" in row
    assert {"noted", "hidden"}.isdisjoint(map(str, row))


def test_writes_through_the_view_and_its_table_are_captured_once(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path, table=True)
    if node.source.kind == "sqlite":
        node.source.script(
            """create trigger through instead of insert on infant begin
            insert into subject (code, kind, weight) values (new.infant_code, 'infant', new.weight); end;"""
        )
    else:
        node.source.script(
            """create rule through as on insert to infant do instead
            insert into subject (code, kind, weight) values (new.infant_code, 'infant', new.weight);"""
        )
    install(node.config)
    node.arrive("insert into infant (infant_code, weight) values ('s1', 3)")
    assert [(table.table, table.unsealed) for table in status(node.config).tables] == [
        ("infant", 0),
        ("site", 0),
        ("subject", 0),
    ]
    node.source.run("insert into infant (infant_code, weight) values ('s2', 4)")
    assert [(table.table, table.unsealed) for table in status(node.config).tables] == [
        ("infant", 1),
        ("site", 0),
        ("subject", 1),
    ]
    node.arrive("update subject set note = 'n' where code = 's1'")
    assert node.target.rows("select code, kind, weight, note from subject order by code") == [
        ("s1", "infant", 3, "n"),
        ("s2", "infant", 4, None),
    ]


def test_rows_that_stand_in_the_view_are_sent_where_that_is_asked_for(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path)
    node.source.run("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")
    install(node.config, include_existing=True)
    node.arrive("insert into subject (code, kind, weight) values ('s3', 'infant', 4)")
    assert len(node.target.rows(SHOWN)) == 2


def test_a_view_that_is_added_later_sends_the_rows_that_stand_in_it(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path, table=True)
    alone = write_config(tmp_path, "laptop", *pair, {"site": ["code"], "subject": ["code"]})
    install(alone, include_existing=True)
    node.source.run("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")
    replicate(alone)
    config = write_config(tmp_path, "laptop", *pair, {"site": ["code"], "subject": ["code"]}, views={"infant": INFANT})
    install(config, include_existing=True)
    node.arrive("insert into subject (code, kind, weight) values ('s3', 'infant', 4)")
    assert len(node.target.rows(SHOWN)) == 2
    assert node.target.rows("select count(*) from subject") == [(3,)]


def test_installing_a_view_twice_changes_nothing(laptop: Node) -> None:
    with databases.connect(laptop.config.node.database, laptop.config.folder) as database:
        reports = capture.install(database, laptop.config, include_existing=False)
    assert [(report.table, report.state) for report in reports] == [("site", "unchanged"), ("infant", "unchanged")]


def test_a_view_is_found_by_its_tables_key_where_it_names_none(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path, key=[])
    install(node.config)
    node.arrive(
        "insert into subject (code, kind) values ('s1', 'infant')",
        "insert into subject (code, kind) values ('s2', 'infant')",
    )


def test_a_views_own_filter_and_columns_count_besides(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path, where="tenth >= 30", exclude=["site_id"])
    install(node.config)
    node.source.run("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 2)")
    replicate(node.config)
    assert node.target.rows("select infant_code from infant") == [("s1",)]
    node.source.run("update subject set weight = weight + 1")
    replicate(node.config)
    assert node.target.rows("select infant_code, tenth from infant order by 1") == [("s1", 40), ("s2", 30)]
    node.source.run("update subject set weight = 0 where code = 's1'")
    replicate(node.config)
    assert node.target.rows("select infant_code from infant") == [("s2",)]


def test_rows_that_a_views_own_filter_keeps_here_are_not_missing_there(pair: tuple[Side, Side], tmp_path: Path) -> None:
    node = Node(pair, tmp_path, where="weight > 3")
    install(node.config)
    node.source.run("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 4)")
    replicate(node.config)
    with databases.connect(node.config.node.database, node.config.folder) as database:
        (found,) = verify.verify(database, node.config, ["infant"])
    assert (found.rows, found.missing, found.different, found.extra) == (1, 0, 0, 0)


def test_replaced_rows_leave_the_view(tmp_path: Path, make_side: Make) -> None:
    pair = make_side("sqlite", "source"), make_side("sqlite", "target")
    node = Node(pair, tmp_path)
    install(node.config)
    node.arrive("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 4)")
    node.arrive("insert or replace into subject (code, kind, weight) values ('s1', 'adult', 70)")
    node.arrive("insert or replace into subject (id, code, kind, weight) values (2, 's5', 'infant', 5)")
    node.arrive("update or replace subject set code = 's5' where code = 's1'")
    assert node.target.rows(SHOWN) == []


def test_a_resync_sends_the_views_rows(laptop: Node) -> None:
    laptop.arrive(
        "insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 4), ('s3', 'adult', 5)"
    )
    laptop.target.run("delete from infant")
    with databases.connect(laptop.config.node.database, laptop.config.folder) as database:
        done = resync.resync(database, laptop.config, ["infant"], where="tenth > 30")
    assert [(table.table, table.rows) for table in done] == [("infant", 1)]
    replicate(laptop.config)
    assert laptop.target.rows("select infant_code from infant") == [("s2",)]
    with databases.connect(laptop.config.node.database, laptop.config.folder) as database:
        resync.resync(database, laptop.config, ["infant"])
    laptop.arrive()


def test_verify_compares_what_the_view_shows(laptop: Node) -> None:
    laptop.arrive(
        "insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'infant', 4), ('s3', 'adult', 5)"
    )
    laptop.target.run("delete from infant where infant_code = 's1'")
    laptop.target.run("update infant set weight = 9, tenth = 90 where infant_code = 's2'")
    with databases.connect(laptop.config.node.database, laptop.config.folder) as database:
        (found,) = verify.verify(database, laptop.config, ["infant"], repair=True)
    assert (found.rows, found.missing, found.different, found.extra, found.repaired) == (2, 1, 1, 0, 2)
    laptop.arrive()
    with databases.connect(laptop.config.node.database, laptop.config.folder) as database:
        (found,) = verify.verify(database, laptop.config, ["infant"])
    assert (found.rows, found.missing, found.different, found.extra) == (2, 0, 0, 0)
