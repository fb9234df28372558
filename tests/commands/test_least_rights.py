"""The rights that the README says a replicator's role needs are enough, at its source and at its destination."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from cdc_sync.config import Config
from tests.commands.conftest import SHAPE, SUBJECT, run
from tests.conftest import Make
from tests.nodes import Side, by_natural_key, write_config

README = Path(__file__).parents[2] / "README.md"


def grants(role: str, side: Side) -> list[str]:
    """The README's statements, one list for a source and one for a destination, for this role and table."""
    block = re.findall(r"```sql\n(.*?)```", README.read_text(encoding="utf-8"), re.S)[0]
    text = block.replace("clinic", str(sa.make_url(side.url).database)).replace("replicator", role)
    return [part.strip() for part in text.split("\n\n")]


@contextmanager
def limited(side: Side, part: int) -> Iterator[str]:
    """The URL of a role that has these rights and no others."""
    role = f"{sa.make_url(side.url).database}_least"
    side.script(f"create role {role} login; {grants(role, side)[part]}")
    try:
        yield sa.make_url(side.url).set(username=role).render_as_string(hide_password=False)
    finally:
        side.script(f"drop owned by {role} cascade; drop role {role}")


@contextmanager
def least(make_side: Make, folder: Path) -> Iterator[tuple[Side, Side, Config]]:
    """Two databases with a subject table, and a node whose roles have the README's rights and no others."""
    source, target = make_side("postgresql", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SUBJECT)
    with limited(source, 0) as here, limited(target, 1) as there:
        config = write_config(folder, "clinic", source, target, {"subject": ["code"]})
        text = config.path.read_text(encoding="utf-8")
        config.path.write_text(text.replace(source.url, here).replace(target.url, there), encoding="utf-8")
        yield source, target, config


def test_a_role_with_the_rights_of_the_readme_installs_captures_and_applies(make_side: Make, tmp_path: Path) -> None:
    with least(make_side, tmp_path) as (source, target, config):
        assert run("install-triggers", config).exit_code == 0
        source.script("insert into subject (code, note) values ('s1', 'a'), ('s2', 'b'), ('s3', 'c')")
        assert run("replicate --once", config).exit_code == 0
        source.script("update subject set code = 's9' where code = 's1'; delete from subject where code = 's2'")
        source.script("update subject set note = 'x' where code = 's3'")
        assert run("replicate --once", config).exit_code == 0
        assert by_natural_key(target, SHAPE) == by_natural_key(source, SHAPE)
        source.script("truncate subject")
        assert run("replicate --once", config).exit_code == 0
        assert by_natural_key(target, SHAPE) == {}
