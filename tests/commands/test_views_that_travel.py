"""install-triggers --with-views makes views where they are missing; doctor says where they show something else."""

from pathlib import Path

import pytest

from cdc_sync import databases, receive
from cdc_sync.config import Config
from cdc_sync.core.change import Table, View
from cdc_sync.core.wire import encode_shown
from tests.batches import Maker
from tests.commands.conftest import KINDS, run, untouched
from tests.conftest import Make
from tests.nodes import Side, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code varchar(10) not null unique, kind text not null, weight integer);
create view infant as select id, code as infant_code, weight from subject where kind = 'infant';
"""
TABLE = "create table subject (id {pk}, code varchar(10) not null unique, kind text not null, weight integer)"


class Travel:
    def __init__(self, source: Side, target: Side, folder: Path) -> None:
        self.source, self.target = source, target
        source.script(SCHEMA)
        self.config = write_config(
            folder, "laptop", source, target, {"subject": ["code"]}, views={"infant": ["infant_code"]}
        )


@pytest.fixture
def travel(pair: tuple[Side, Side], tmp_path: Path) -> Travel:
    return Travel(*pair, tmp_path)


def test_a_missing_view_is_made_and_rows_land_in_its_table(travel: Travel) -> None:
    travel.target.script(TABLE)
    result = run("install-triggers", travel.config, "--with-views")
    assert result.exit_code == 0
    assert "view infant at server: made" in result.stdout
    travel.source.run("insert into subject (code, kind, weight) values ('a', 'infant', 3), ('b', 'adult', 70)")
    replicate(travel.config)
    assert travel.target.rows("select infant_code, weight from infant") == [("a", 3)]
    assert travel.target.rows("select code, kind from subject order by code") == [("a", "infant"), ("b", "adult")]
    assert "is another one there" not in run("doctor", travel.config).stdout


def test_a_view_that_stands_is_left_as_it_is_and_doctor_says_how_it_differs(travel: Travel) -> None:
    travel.target.script(
        TABLE + "; create view infant as select id, code as infant_code from subject where kind = 'child'"
    )
    result = run("install-triggers", travel.config, "--with-views")
    assert result.exit_code == 0
    assert "view infant at server: stands there, and was left as it is" in result.stdout
    said = run("doctor", travel.config).stdout
    assert "view 'infant' is another one there: it has no column 'weight'" in said
    assert "view 'infant' is another one there: its filter is " in said


def test_a_dry_run_prints_what_it_would_make_and_touches_nothing(travel: Travel, tmp_path: Path) -> None:
    travel.target.script(TABLE)
    with untouched(tmp_path, travel.source, travel.target):
        result = run("install-triggers", travel.config, "--with-views", "--dry-run")
    assert result.exit_code == 0
    _, _, script = result.stdout.partition("-- view infant at server: missing\n")
    travel.target.script(script)
    assert travel.target.rows("select * from infant") == []


def test_a_view_whose_table_is_missing_is_refused_by_name(travel: Travel) -> None:
    result = run("install-triggers", travel.config, "--with-views")
    assert result.exit_code == 3
    assert "view infant at server: view 'infant' cannot be made: there is no table 'subject'" in result.stderr
    assert "hint: create the table first" in result.stderr
    assert "subject: new" in result.stdout


def test_a_view_that_cannot_be_said_there_is_refused_with_what_it_holds(make_side: Make, tmp_path: Path) -> None:
    travel = Travel(make_side("sqlite", "source"), make_side("postgresql", "target"), tmp_path)
    travel.source.script(
        "drop view infant; create view infant as select id, code as infant_code, weight & 7 as w from subject"
    )
    travel.target.script(TABLE)
    result = run("install-triggers", travel.config, "--with-views")
    assert result.exit_code == 3
    assert "column 'w' holds \"weight\" & 7, which is not known to mean the same in PostgreSQL" in result.stderr
    assert travel.target.rows("select count(*) from pg_views where viewname = 'infant'") == [(0,)]


def test_a_server_makes_the_views_that_arrived_with_batches(travel: Travel, tmp_path: Path) -> None:
    """The laptop's rows came while a table stood under the view's name; the table has gone since."""
    travel.target.script(TABLE + "; create table infant (id {pk}, infant_code text not null unique, weight integer)")
    run("install-triggers", travel.config)
    travel.source.run("insert into subject (code, kind, weight) values ('a', 'infant', 3)")
    replicate(travel.config)
    travel.target.run("drop table infant")
    server = write_config(tmp_path, "server", travel.target, {}, {})
    result = run("install-triggers", server, "--with-views")
    assert result.exit_code == 0
    assert "view infant at this node: made" in result.stdout
    assert travel.target.rows("select infant_code, weight from infant") == [("a", 3)]


def view(expression: str, condition: str = "") -> View:
    return View(table="subject", expressions=(("code", expression),), condition=condition)


def told_of_views(server: Side, folder: Path, **views: View) -> Config:
    """A server with a batch of each of these nodes, which has rows of its view ``infant``."""
    server.script(TABLE)
    config = write_config(folder, "server", server, {}, {})
    with databases.connect(config.node.database, config.folder) as database:
        receive.prepare(database)
        for origin, shown in views.items():
            table = Table(name="infant", schema=None, columns=(), view=shown)
            receive.store(database, *Maker(origin).seal(table="infant", shows=encode_shown(server.kind, table)))
    return config


@pytest.mark.parametrize("kind", KINDS)
def test_two_nodes_that_have_a_view_otherwise_are_told_apart_and_the_first_one_is_made(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    server, infant, child = make_side(kind, "server"), """"kind" = 'infant'""", """"kind" = 'child'"""
    code = '"code"'
    config = told_of_views(server, tmp_path, a=view(code, infant), b=view(code, child), c=view(code, infant))
    result = run("install-triggers", config, "--with-views")
    assert result.exit_code == 3
    assert result.stdout == "view infant at this node: made\n"
    assert result.stderr.startswith("view infant at this node: two nodes have it otherwise; it is made as the first")
    assert result.stderr.count("two nodes have it otherwise") == 1
    server.run("insert into subject (code, kind) values ('a', 'infant'), ('b', 'child')")
    assert server.rows("select code from infant") == [("a",)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_node_says_of_its_view_is_not_run_where_it_may_be_a_statement(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    server = make_side(kind, "server")
    config = told_of_views(server, tmp_path, laptop=view('"code" from subject; drop table subject; select 1'))
    result = run("install-triggers", config, "--with-views")
    assert result.exit_code == 3
    assert "what its origin says of view 'infant' may be more than expressions, and is not run" in result.stderr
    assert server.rows("select count(*) from subject") == [(0,)]
