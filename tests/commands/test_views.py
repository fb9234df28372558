"""What the commands say of views, and what the file may not say of them."""

from pathlib import Path

import pytest

from cdc_sync.config import Config
from tests.commands.conftest import KINDS, complaint, run
from tests.conftest import Make
from tests.nodes import Side, replicate, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, kind text, note text);
create view infant as select code, note from subject where kind = 'infant';
create view counted as select kind, count(*) as n from subject group by kind;
create view coded as select upper(code) as code, note from subject;
create view nameless as select note from subject;
"""
SERVER = "create table infant (id {pk}, code text not null unique, note text);"


@pytest.fixture(params=KINDS)
def sides(request: pytest.FixtureRequest, make_side: Make) -> tuple[Side, Side]:
    source, target = make_side(request.param, "source"), make_side("sqlite", "target")
    source.script(SCHEMA)
    target.script(SERVER)
    return source, target


def file(sides: tuple[Side, Side], folder: Path, tables: dict[str, object], **views: object) -> Config:
    return write_config(folder, "laptop", *sides, tables, views=views)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tables", "views", "said", "hint"),
    [
        ({}, {"counted": {"key": ["kind"]}}, "view 'counted' is no proxy of one table", "sync the tables"),
        ({}, {"coded": {"key": ["code"]}}, "its key names 'code', which is worked out", "takes from its table as they"),
        ({}, {"nameless": {}}, "view 'nameless' has no key, and shows none of its table 'subject'", "key = ["),
        ({}, {"infant": {"key": ["cod"]}}, "view 'infant' has no column 'cod'", "did you mean 'code'?"),
        ({}, {"infants": {"key": ["code"]}}, "the database has no view 'infants'", "did you mean 'infant'?"),
        ({}, {"subject": {"key": ["code"]}}, "'subject' is a table and no view", "[[tables]]"),
        ({"infant": ["code"]}, {}, "no table 'infant', but a view", "[[views]]"),
        (
            {"subject": {"key": ["code"], "exclude": ["note"]}},
            {"infant": {"key": ["code"]}},
            "view 'infant' reads column 'note', which table 'subject' excludes",
            "exclude it in the view too",
        ),
    ],
)
def test_what_cannot_be_had_of_a_view_is_refused_by_name(
    sides: tuple[Side, Side],
    tmp_path: Path,
    tables: dict[str, object],
    views: dict[str, object],
    said: str,
    hint: str,
) -> None:
    error, way_out = complaint(run("install-triggers", file(sides, tmp_path, tables, **views)))
    assert said in error
    assert hint in way_out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("reference = true", "view 'infant' is no reference"),
        ("wher = \"note = 'x'\"", "[[views]] number 1 has an unknown key 'wher'"),
        ('except = ["adult"]', "view 'infant' has exceptions, but names one view only"),
        (
            '[[tables]]\nname = "subject"\nkey = ["code"]\ntarget = "infant"',
            "'subject' and 'infant' would both be 'infant' at the target",
        ),
        ('key = ["code"]\nexclude = ["code"]', "view 'infant' excludes 'code', which is part of its key"),
    ],
)
def test_what_a_view_may_not_say_is_refused(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "cdc-sync.toml"
    node = '[node]\nname = "laptop"\ndatabase = "sqlite:///field.db"\n'
    path.write_text(f'{node}[[views]]\nname = "infant"\n{line}\n', encoding="utf-8")
    error, _ = complaint(run("install-triggers", path))
    assert said in error


def test_views_are_installed_counted_listed_and_removed(sides: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = sides
    source.run("insert into subject (code, kind) values ('s1', 'infant'), ('s2', 'adult')")
    config = file(sides, tmp_path, {}, infant={"key": ["code"]})
    installed = run("install-triggers", config, "--include-existing")
    assert installed.output.splitlines()[0] == "infant: new, 1 rows stand in it and will be sent"
    assert "infant: 1 changes to seal" in run("status", config).output
    replicate(config)
    assert target.rows("select code from infant") == [("s1",)]
    assert run("install-triggers", config).output.splitlines()[0] == "infant: unchanged, 1 rows stand in it"
    assert run("doctor", config).exit_code == 0, run("doctor", config).output
    assert run("verify", config).exit_code == 0
    assert run("uninstall-triggers", config).exit_code == 0
    assert "cdc_sync" not in str(source.rows(_LEFT[source.kind]))


_LEFT = {
    "sqlite": "select name from sqlite_master",
    "postgresql": "select tgname from pg_trigger union all select nspname from pg_namespace",
}


def test_what_the_dry_run_prints_installs_the_view(sides: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = sides
    config = file(sides, tmp_path, {}, infant={"key": ["code"]})
    script = run("install-triggers", config, "--dry-run").output
    assert "infant" in script
    if source.kind == "sqlite":
        source.connection.executescript(script)
    else:
        source.connection.execute(script)
    assert run("install-triggers", config).output.splitlines()[0] == "infant: unchanged, empty"
    source.run("insert into subject (code, kind) values ('s1', 'infant'), ('s2', 'adult')")
    replicate(config)
    assert target.rows("select code from infant") == [("s1",)]


def test_a_resync_names_the_view(sides: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = sides
    source.run("insert into subject (code, kind) values ('s1', 'infant'), ('s2', 'adult')")
    config = file(sides, tmp_path, {}, infant={"key": ["code"]})
    run("install-triggers", config)
    assert "infant: 1 row" in run("resync infant", config).output
    assert "captured are infant" in run("resync subject", config).stderr
    replicate(config)
    assert target.rows("select code from infant") == [("s1",)]
