"""A table of which only a part could be captured, or seen, is refused by name; nothing is installed."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from cdc_sync.config import Config
from tests.commands.conftest import SUBJECT, Expected, refused, run, untouched
from tests.conftest import Make
from tests.nodes import Side, write_config

PARTITION = """
create table subject (code text not null primary key, note text) partition by range (code);
create table subject_a partition of subject for values from ('a') to ('b');
"""
CHILD = """
create table subject (code text not null primary key, note text);
create table subject_a (primary key (code)) inherits (subject);
"""


@pytest.mark.parametrize("schema", [PARTITION, CHILD], ids=["partition", "child"])
def test_a_partition_or_child_by_itself_is_refused_and_its_whole_is_named(
    make_side: Make, tmp_path: Path, schema: str
) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    source.script(schema)
    config = write_config(tmp_path, "clinic", source, target, {"subject_a": ["code"]})
    with untouched(tmp_path, source, target):
        refused(run("install-triggers", config), Expected(("'subject_a'", "of subject"), 'name = "subject"'))


@pytest.mark.parametrize("name", ["true", "FALSE"])
def test_a_column_that_sqlite_cannot_name_in_a_subquery_is_refused(make_side: Make, tmp_path: Path, name: str) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    source.script(f'create table subject (id {{pk}}, code text not null unique, "{name}" text)')
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    with untouched(tmp_path, source, target):
        refused(run("install-triggers", config), Expected((f"'{name}'", "'subject'"), "rename it, or exclude it"))


def veiled(make_side: Make, folder: Path) -> tuple[Config, Side, str]:
    """A node whose role sees only some of the rows."""
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    source.script(SUBJECT)
    role = f"{sa.make_url(source.url).database}_veiled"
    source.script(
        f"create role {role} login; grant usage on schema public to {role}; "
        f"grant all on subject to {role}; alter table subject enable row level security; "
        f"create policy partly on subject to {role} using (note = 'seen')"
    )
    config = write_config(folder, "clinic", source, target, {"subject": ["code"]})
    config.path.write_text(config.path.read_text().replace("postgres@", f"{role}@").replace("postgres:@", f"{role}@"))
    return config, source, role


def test_a_table_whose_rows_a_policy_hides_is_refused_and_the_remedy_is_named(make_side: Make, tmp_path: Path) -> None:
    config, source, role = veiled(make_side, tmp_path)
    assert f"{role}@" in config.path.read_text()
    try:
        refused(run("install-triggers", config), Expected(("row-level security", "'subject'"), "BYPASSRLS"))
    finally:
        source.script(f"drop policy partly on subject; drop owned by {role}; drop role {role}")
