"""Several destinations and a configuration that grows: each gets what is for it, and nothing is lost on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync.errors import ConfigError, Unreachable
from tests.nodes import Shape, Side, by_natural_key, install, replicate, write_config

SCHEMA = """
create table site (id {pk}, code text not null unique);
create table subject (id {pk}, site_id integer not null references site (id), code text not null unique);
"""


def test_one_silent_destination_does_not_keep_the_others_waiting(
    make_side: Callable[..., Side], tmp_path: Path
) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    away = make_side("sqlite", "away")
    config = write_config(tmp_path, "laptop", source, {"away": away, "here": target}, {"site": ["code"]})
    Path(away.url.removeprefix("sqlite:///")).unlink()
    install(config)
    source.run("insert into site (code) values ('a')")
    with pytest.raises(Unreachable):
        replicate(config)
    assert target.rows("select code from site") == [("a",)]
    back = make_side("sqlite", "away")
    back.script(SCHEMA)
    replicate(config)
    assert back.rows("select code from site") == [("a",)]


def test_a_parent_that_was_only_looked_up_can_be_captured_later(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
        side.run("insert into site (code) values ('known')")
    install(write_config(tmp_path, "laptop", source, target, {"subject": ["code"]}))
    source.run("insert into subject (site_id, code) values (1, 's1')")
    config = write_config(tmp_path, "laptop", source, target, {"site": ["code"], "subject": ["code"]})
    install(config)
    replicate(config)
    source.run("insert into site (code) values ('new')")
    source.run("insert into subject (site_id, code) select id, 's2' from site where code = 'new'")
    replicate(config)
    shape = Shape("subject", ("code",), ("site_id>site.code",))
    assert by_natural_key(target, shape) == by_natural_key(source, shape)


def test_a_captured_table_cannot_leave_the_configuration_unnoticed(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    install(write_config(tmp_path, "laptop", source, target, {"site": ["code"], "subject": ["code"]}))
    with pytest.raises(ConfigError, match="no longer configured"):
        install(write_config(tmp_path, "laptop", source, target, {"subject": ["code"]}))
