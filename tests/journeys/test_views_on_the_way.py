"""Views on every road: over HTTP and on a stick, into a view there, looked at on the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdc_sync.config import Config
from tests.commands.conftest import run
from tests.conftest import Make
from tests.nodes import Side, install, replicate
from tests.serving import enrol, section, serving, write
from tests.sticks import key_of

SUBJECT = "create table subject (id {pk}, code text not null unique, kind text not null, weight integer, secret text);"
INFANT = "create view infant as select id, code as infant_code, weight from subject where kind = 'infant';"
ENTRY = section("[[views]]", name="infant", key=["infant_code"])
SHOWN = "select infant_code, weight from infant order by infant_code"


def enter(source: Side) -> None:
    source.run("insert into subject (code, kind, weight) values ('s1', 'infant', 3), ('s2', 'adult', 70)")


def change(source: Side) -> None:
    source.run("update subject set kind = 'child', weight = 9 where code = 's1'")
    source.run("update subject set kind = 'infant' where code = 's2'")


@contextmanager
def pushing(make_side: Make, folder: Path, may_write: str) -> Iterator[tuple[Side, Side, Config]]:
    """A laptop with the view that pushes to a server which has it too, and lets it write one thing."""
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SUBJECT + INFANT)
    with serving(write(folder, "community", target, section("[serve]", listen="127.0.0.1:0"))) as there:
        goal = section("[[destinations]]", name="community", url=there.url)
        laptop = write(folder, "laptop", source, ENTRY, goal)
        install(laptop)
        enrol(there.config, laptop, "--table", may_write)
        yield source, target, laptop


def test_a_view_is_pushed_over_http_into_a_view(make_side: Make, tmp_path: Path) -> None:
    with pushing(make_side, tmp_path, "infant") as (source, target, laptop):
        enter(source)
        replicate(laptop)
        assert target.rows("select code, kind, weight from subject") == [("s1", "infant", 3)]
        change(source)
        replicate(laptop)
        assert target.rows("select code, kind, weight from subject") == [("s2", "infant", 70)]
        assert target.rows(SHOWN) == source.rows(SHOWN)


def test_a_view_travels_on_a_stick_and_is_looked_at_before(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SUBJECT + INFANT)
    server = write(tmp_path, "community", target)
    laptop = write(tmp_path, "laptop", source, ENTRY, section("[[destinations]]", name="community", key=key_of(server)))
    install(laptop)
    assert run("enroll", server, "laptop", "--key", key_of(laptop)).exit_code == 0
    stick = tmp_path / "stick"
    stick.mkdir()
    enter(source)
    assert run("export", laptop, "--to", str(stick)).exit_code == 0
    (shown,) = json.loads(run("inspect", laptop, "--json").stdout)
    assert shown["tables"] == {"infant": {"insert": 1}}
    rows = run("inspect", laptop, "infant", "--where", "infant_code=s1").stdout
    assert "s1" in rows
    assert "s2" not in rows
    change(source)
    assert run("export", laptop, "--to", str(stick)).exit_code == 0
    assert run("import", server, str(stick)).exit_code == 0
    assert target.rows(SHOWN) == source.rows(SHOWN) == [("s2", 70)]


def test_a_node_that_may_write_something_else_only_cannot_write_a_view(make_side: Make, tmp_path: Path) -> None:
    with pushing(make_side, tmp_path, "other") as (source, target, laptop):
        enter(source)
        refused = run("replicate --once", laptop)
        assert refused.exit_code != 0
        assert "'infant'" in refused.stderr
        assert target.rows("select count(*) from subject") == [(0,)]
