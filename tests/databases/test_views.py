"""Views as each database describes them: what they show of their table, or why they are no proxies of one."""

from collections.abc import Iterator

import pytest

from cdc_sync import databases
from cdc_sync.core import views
from cdc_sync.core.change import Kind, Reference, Table
from cdc_sync.databases import Database, Mode
from tests.conftest import Make
from tests.nodes import Side

SCHEMA = """
create table site (id {pk}, code varchar(10) not null unique);
create table subject (
    id {pk},
    name varchar(40) not null unique,
    kind varchar(10) not null,
    active boolean not null default true,
    weight numeric(8, 2),
    site_id integer references site (id)
);
create view infant (pk, called, site) as
    select id, name, site_id from subject where kind = 'infant' and active;
create view light as select called, pk, 'few' as how from infant where pk < 3;
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def side(request: pytest.FixtureRequest, make_side: Make) -> Side:
    made = make_side(request.param, "base")
    made.script(SCHEMA)
    return made


@pytest.fixture
def database(side: Side) -> Iterator[Database]:
    with databases.connect(side.url, side.folder) as opened:
        yield opened


def described(database: Database, name: str) -> Table:
    with database.begin(Mode.READ) as session:
        return database.describe(session, [name])[name]


def test_a_view_is_described_with_the_keys_that_it_shows(database: Database) -> None:
    table = described(database, "infant")
    assert table.names == ("pk", "called", "site")
    assert table.primary_key == ("pk",)
    assert ("called",) in table.uniques
    assert table.references == (Reference(columns=("site",), table="site", target=("id",)),)
    assert [column.nullable for column in table.columns] == [False, False, True]
    assert [column.kind for column in table.columns] == [Kind.INTEGER, Kind.TEXT, Kind.INTEGER]
    assert table.stored.name == "subject"
    assert table.stored.view is None


def test_a_view_says_what_it_shows_and_what_its_rows_have(database: Database) -> None:
    view = described(database, "infant").view
    assert view is not None
    assert view.refusal == ""
    assert view.table == "subject"
    assert view.plain == (("pk", "id"), ("called", "name"), ("site", "site_id"))
    assert view.reads == ("kind", "active")
    assert dict(view.fixed).keys() == {"kind", "active"}


def test_a_view_over_a_view_is_one_over_its_table(database: Database, side: Side) -> None:
    table = described(database, "light")
    view = table.view
    assert view is not None
    assert view.table == "subject"
    assert table.primary_key == ("pk",)
    assert view.plain == (("called", "name"), ("pk", "id"))
    assert [name for name, _ in view.constants] == ["how"]
    side.run("insert into subject (id, name, kind) values (1, 'a', 'infant'), (2, 'b', 'adult'), (5, 'c', 'infant')")
    columns = ", ".join(views.render(text, side.kind, lambda name: f'b."{name}"') for _, text in view.expressions)
    condition = views.render(view.condition, side.kind, lambda name: f'b."{name}"')
    assert side.rows(f"select {columns} from subject b where {condition}") == side.rows("select * from light")
    assert len(side.rows("select * from light")) == 1


def test_a_view_that_is_no_proxy_says_why(database: Database, side: Side) -> None:
    side.run("create view both_of as select s.id, t.code from subject s join site t on t.id = s.site_id")
    view = described(database, "both_of").view
    assert view is not None
    assert view.base is None
    assert view.refusal == "view 'both_of' is no proxy of one table: it has a join"


def test_views_are_listed_apart_from_tables(database: Database) -> None:
    with database.begin(Mode.READ) as session:
        assert session.run("views") == [("infant",), ("light",)]
        assert session.run("tables") == [("site",), ("subject",)]


@pytest.mark.parametrize("what", ["light", "infant", "subject"])
def test_what_a_view_is_is_read_again_when_anything_under_it_changes(database: Database, side: Side, what: str) -> None:
    with database.begin(Mode.READ) as session:
        before = database.mark(session, ["light"])
    if what == "subject":
        side.run("alter table subject add column born integer")
    else:
        old = {"light": "select called from infant", "infant": "select id as pk, name as called, site_id from subject"}
        if side.kind == "sqlite":
            side.run(f"drop view {what}")
            side.run(f"create view {what} as {old[what]}")
        else:
            side.run("drop view light")
            side.run("create view light as select called, pk, 'few'::text as how from infant where pk < 4")
    with database.begin(Mode.READ) as session:
        assert database.mark(session, ["light"]) != before


def test_a_view_that_triggers_stand_in_for_is_known_as_such(database: Database, side: Side) -> None:
    view = described(database, "light").view
    assert view is not None
    assert (view.fired, view.writable) == (False, side.kind == "postgresql")
    fire(side, "light", ("insert", "update", "delete"))
    view = described(database, "light").view
    assert view is not None
    assert (view.fired, view.writable) == (True, True)


def fire(side: Side, view: str, events: tuple[str, ...]) -> None:
    if side.kind == "postgresql":
        side.run("create function nothing() returns trigger language plpgsql as 'begin return null; end'")
    for event in events:
        does = "execute function nothing()" if side.kind == "postgresql" else "begin select 1; end"
        each = "for each row" if side.kind == "postgresql" else ""
        side.run(f"create trigger {view}_{event} instead of {event} on {view} {each} {does}")


def test_a_materialized_view_is_no_proxy(make_side: Make) -> None:
    side = make_side("postgresql", "base")
    side.script(SCHEMA + "create materialized view kept as select * from subject")
    with databases.connect(side.url, side.folder) as database:
        view = described(database, "kept").view
    assert view is not None
    assert "it is materialized" in view.refusal
