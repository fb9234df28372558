"""Every write of an application's is captured, and none that is applied; no application can see, mute or mislead it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.commands.conftest import CHECKED, SHAPE, SUBJECT, Walk, captured, made_walk, run
from tests.conftest import Make
from tests.nodes import Row, by_natural_key, install, replicate, status, write_config


def test_a_node_in_the_middle_captures_its_own_writes_and_not_those_applied(
    make_side: Make, tmp_path: Path, kind: str
) -> None:
    laptop, middle, server = make_side("sqlite", "laptop"), make_side(kind, "middle"), make_side("sqlite", "server")
    for side in (laptop, middle, server):
        side.script(SUBJECT)
    first = write_config(tmp_path, "laptop", laptop, middle, {"subject": ["code"]})
    second = write_config(tmp_path, "middle", middle, server, {"subject": ["code"]})
    install(second)
    install(first)
    laptop.script("insert into subject (code) values ('s1'), ('s2'), ('s3');")
    replicate(first)
    laptop.script("update subject set code = 's9' where code = 's1'; delete from subject where code = 's2';")
    laptop.run("update subject set note = 'x' where code = 's3'")
    replicate(first)
    assert [row[0] for row in middle.rows("select code from subject order by code")] == ["s3", "s9"]
    assert [table.unsealed for table in status(second).tables] == [0]
    middle.run("update subject set note = 'middle' where code = 's3'")
    middle.run("insert into subject (code) values ('m1')")
    assert [table.unsealed for table in status(second).tables] == [2]
    replicate(second)
    assert by_natural_key(server, SHAPE) == {("s3",): ("middle",), ("m1",): (None,)}


def test_a_failed_application_leaves_the_middle_node_capturing(make_side: Make, tmp_path: Path, kind: str) -> None:
    laptop, middle, server = make_side("sqlite", "laptop"), make_side(kind, "middle"), make_side("sqlite", "server")
    for side, schema in ((laptop, SUBJECT), (middle, CHECKED), (server, SUBJECT)):
        side.script(schema)
    first = write_config(tmp_path, "laptop", laptop, middle, {"subject": ["code"]})
    second = write_config(tmp_path, "middle", middle, server, {"subject": ["code"]})
    install(second)
    install(first)
    laptop.run("insert into subject (code, note) values ('s1', 'refused')")
    assert run("replicate --once", first).exit_code == 3
    middle.run("insert into subject (code) values ('m1')")
    assert captured(middle) == [("I", "m1")]


@pytest.fixture
def guest(make_side: Make, tmp_path: Path) -> Iterator[tuple[Walk, psycopg.Connection[Row]]]:
    """A PostgreSQL node, and an application whose role may write the table and nothing else."""
    walk = made_walk(make_side, tmp_path, "postgresql", "sqlite")
    install(walk.config)
    role = f"{sa.make_url(walk.source.url).database}_guest"
    walk.source.script(
        f"create role {role} login; grant usage on schema public to {role}; "
        f"grant select, insert, update, delete, truncate on subject to {role}"
    )
    url = sa.make_url(walk.source.url).set(username=role).render_as_string(False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            yield walk, connection
    finally:
        walk.source.script(f"drop owned by {role}; drop role {role}")


Guest = tuple[Walk, psycopg.Connection[Row]]


def test_an_application_with_rights_on_the_table_only_writes_and_is_captured(guest: Guest) -> None:
    walk, application = guest
    application.execute("insert into subject (code) values ('s1'), ('s2')")
    application.execute("update subject set note = 'x' where code = 's1'")
    application.execute("update subject set code = 's9' where code = 's1'")
    application.execute("delete from subject where code = 's2'")
    assert {op for (op,) in captured(walk.source, "cdc_sync_op")} >= {"I", "U", "D", "K"}
    application.execute("truncate subject")
    replicate(walk.config)
    assert walk.arrived() == []


def test_an_application_with_rights_on_the_table_only_sees_nothing_of_ours(guest: Guest) -> None:
    _, application = guest
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute("select * from cdc_sync.node")


@pytest.mark.parametrize("scope", ["set", "set local"])
def test_an_application_cannot_mute_the_capture(guest: Guest, scope: str) -> None:
    walk, application = guest
    with application.transaction():
        application.execute(f"{scope} cdc_sync.mute = 'on'")
        application.execute("insert into subject (code) values ('s1'), ('s2'), ('s3')")
        application.execute("update subject set note = 'x' where code = 's1'")
        application.execute("update subject set code = 's9' where code = 's2'")
        application.execute("delete from subject where code = 's3'")
        application.execute("truncate subject")
    ops = [op for (op,) in captured(walk.source, "cdc_sync_op")]
    assert (ops.count("I"), ops.count("K"), ops.count("D")) == (3, 1, 3)
    assert "U" in ops


def test_a_temporary_table_of_the_applications_does_not_lead_the_capture_astray(guest: Guest) -> None:
    """A role's own search_path and look-alikes in it reach nothing of ours."""
    walk, application = guest
    application.execute("create temporary table subject_shadow (code text)")
    application.execute("set search_path = pg_temp, public")
    application.execute("insert into public.subject (code) values ('s1')")
    assert captured(walk.source) == [("I", "s1")]
