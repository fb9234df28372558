"""A database that cannot be reached or written, or is the node's own, is named, and nothing is sealed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.commands.conftest import (
    KINDS,
    PASSWORD,
    SUBJECT,
    Expected,
    closed_port,
    made,
    refused,
    run,
    untouched,
    with_password,
)
from tests.conftest import Make
from tests.nodes import Side, install, write_config


def _elsewhere(kind: str, case: str, folder: Path, url: str) -> tuple[str, Expected]:
    """A URL behind which there is nothing to use, and what must be said."""
    if case == "closed-port":
        port = closed_port()
        return f"postgresql://dba:{PASSWORD}@127.0.0.1:{port}/clinic", Expected(("cannot connect", str(port)), "URL")
    if case == "no-such-database":
        nowhere = sa.make_url(with_password(url)).set(database="nowhere")
        return nowhere.render_as_string(hide_password=False), Expected(("cannot connect", "nowhere"), "URL")
    if case == "missing-file":
        return f"sqlite:///{folder}/gone.db", Expected(("no database file", "gone.db"), "URL")
    if case == "folder":
        return f"sqlite:///{folder}", Expected((str(folder),), "URL")
    assert kind == "sqlite"
    (folder / "notes.txt").write_text("These are notes, not a database.\n" * 50)
    return f"sqlite:///{folder}/notes.txt", Expected(("notes.txt", "not a database"), "URL")


UNREACHABLE = [
    ("postgresql", "closed-port"),
    ("postgresql", "no-such-database"),
    ("sqlite", "missing-file"),
    ("sqlite", "folder"),
    ("sqlite", "no-database"),
]


@pytest.mark.parametrize(("kind", "case"), UNREACHABLE, ids=lambda value: value)
@pytest.mark.parametrize(
    "command",
    ["install-triggers", "install-triggers --dry-run", "uninstall-triggers", "replicate --once", "replicate", "status"],
)
def test_a_source_that_cannot_be_reached_is_named(
    make_side: Make, tmp_path: Path, kind: str, case: str, command: str
) -> None:
    source, target = make_side(kind, "source"), make_side("sqlite", "target")
    source.url, expected = _elsewhere(kind, case, tmp_path, source.url)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with untouched(tmp_path, target):
        refused(run(command, config), expected)


@pytest.mark.parametrize(("kind", "case"), UNREACHABLE, ids=lambda value: value)
def test_a_destination_that_cannot_be_reached_is_named_and_nothing_is_sealed(
    make_side: Make, tmp_path: Path, kind: str, case: str
) -> None:
    source, target = made(make_side, "sqlite", "source", SUBJECT), make_side(kind, "target")
    target.url, expected = _elsewhere(kind, case, tmp_path, target.url)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source):
        refused(run("replicate --once", config), expected)


@contextmanager
def read_only(side: Side) -> Iterator[None]:
    """Nobody who connects from now on may write."""
    if side.kind == "postgresql":
        name = side.rows("select current_database()")[0][0]
        side.run(f"alter database {name} set default_transaction_read_only = on")
        yield
        side.run(f"alter database {name} reset default_transaction_read_only")
        return
    if os.geteuid() == 0:
        pytest.skip("root may write to files of mode 0444")
    path = Path(sa.make_url(side.url).database or "")
    path.chmod(0o444)
    yield
    path.chmod(0o644)


def test_a_read_only_source_is_named(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = made(make_side, kind, "source", SUBJECT), make_side("sqlite", "target")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with untouched(tmp_path, source, target), read_only(source):
        refused(run("install-triggers", config), Expected(("read",), "writable"))


def test_a_read_only_destination_is_named_and_nothing_is_sealed(make_side: Make, tmp_path: Path, kind: str) -> None:
    source, target = made(make_side, "sqlite", "source", SUBJECT), made(make_side, kind, "target", SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source, target), read_only(target):
        refused(run("replicate --once", config), Expected(("read",), "writable"))


def test_a_role_that_may_not_make_triggers_is_told_so(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    source.script(SUBJECT)
    name = source.rows("select current_database()")[0][0]
    source.script(
        f"create role {name}_guest login; grant all on database {name} to {name}_guest; "
        f"grant usage on schema public to {name}_guest; grant select on subject to {name}_guest"
    )
    source.url = sa.make_url(source.url).set(username=f"{name}_guest", password=PASSWORD).render_as_string(False)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    try:
        with untouched(tmp_path, source, target):
            refused(run("install-triggers", config), Expected(("subject",), "right"))
    finally:
        source.script(f"drop owned by {name}_guest; drop role {name}_guest")


def _other_spelling(source: Side, folder: Path, how: str) -> str:
    if source.kind == "postgresql":
        return sa.make_url(source.url).update_query_dict({"application_name": "other"}).render_as_string(False)
    path = Path(sa.make_url(source.url).database or "")
    if how == "symlink":
        (folder / "link.db").symlink_to(path)
        return f"sqlite:///{folder}/link.db"
    return f"sqlite:///../../{folder.name}/{path.name}"


@pytest.mark.parametrize(("kind", "how"), [("sqlite", "symlink"), ("sqlite", "relative"), ("postgresql", "spelling")])
def test_the_nodes_own_database_is_no_destination(make_side: Make, tmp_path: Path, kind: str, how: str) -> None:
    source, target = made(make_side, kind, "source", SUBJECT), make_side(kind, "target")
    target.url = _other_spelling(source, tmp_path, how)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    with untouched(tmp_path, source):
        refused(run("replicate --once", config), Expected(("'server'", "own database"), "another"))


def test_a_server_that_goes_away_is_unreachable_not_a_traceback(make_side: Make, tmp_path: Path) -> None:
    """The connection is refused half-way: the database no longer lets anyone in."""
    source, target = (made(make_side, kind, kind, SUBJECT) for kind in KINDS)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    name = target.rows("select current_database()")[0][0]
    target.run(f"alter database {name} connection limit 0")
    role = f"{name}_guest"
    target.script(f"create role {role} login")
    target.url = sa.make_url(target.url).set(username=role).render_as_string(False)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    try:
        with untouched(tmp_path, source, target):
            refused(run("replicate --once", config), Expected(("cannot connect", name), "lets you in"))
    finally:
        target.script(f"alter database {name} connection limit -1; drop role {role}")
