"""After a restore or a copy a node rejoins: nothing written since is lost, and nothing gives way to what is older."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync import databases, resync, ship
from cdc_sync import rejoin as room
from cdc_sync.config import Config
from cdc_sync.core.conflicts import Outcome
from cdc_sync.errors import CdcSyncError, ConfigError, RejectedBatch, Unreachable
from cdc_sync.rejoin import Rejoined, Standing
from tests.conftest import Make
from tests.nodes import Side, install, replicate, waiting, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, site text);
create table visit (id {pk}, subject_id integer not null references subject (id), code text not null,
    unique (subject_id, code));
"""
TABLES = {"subject": ["code"], "visit": ["subject_id", "code"]}
PAIRS = [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite"), ("postgresql", "postgresql")]


class Backup:
    """A copy of a whole database, which may take its place again."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.side, self.file = side, folder / f"{side.kind}-backup"
        self.name = sa.make_url(side.url).database or ""
        if side.kind == "sqlite":
            with sqlite3.connect(self.file) as copy:
                side.connection.backup(copy)
            copy.close()
        else:
            self._admin(f'create database "{self.name}_copy" template "{self.name}"')

    def restore(self) -> None:
        if self.side.kind == "sqlite":
            self.side.connection.close()
            for end in ("-wal", "-shm"):
                Path(self.name + end).unlink(missing_ok=True)
            shutil.copy(self.file, self.name)
            self.side.connection = self.side.connect()
        else:
            self._admin(
                f'drop database "{self.name}" with (force)',
                f'alter database "{self.name}_copy" rename to "{self.name}"',
            )

    def _admin(self, *statements: str) -> None:
        self.side.connection.close()
        url = sa.make_url(self.side.url).set(database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)
        self.side.connection = self.side.connect()


Node = tuple[Side, Side, Config]


@pytest.fixture(params=PAIRS, ids="-".join)
def node(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Node:
    """A laptop and a server that have met; two subjects with a visit each."""
    source, target = make_side(request.param[0], "source"), make_side(request.param[1], "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, TABLES)
    install(config)
    enter(source, "s1", "s2")
    replicate(config)
    return source, target, config


def enter(side: Side, *codes: str, site: str = "1") -> None:
    for code in codes:
        side.run("insert into subject (code, site) values (?, ?)", (code, site))
        side.run("insert into visit (subject_id, code) select id, 'v1' from subject where code = ?", (code,))


def subjects(side: Side) -> dict[str, str]:
    return dict(side.rows("select code, site from subject"))


def visits(side: Side) -> set[tuple[Any, ...]]:
    return set(side.rows("select s.code, v.code from visit v join subject s on s.id = v.subject_id"))


def conflicts(side: Side) -> list[tuple[Any, ...]]:
    name = "cdc_sync.conflict" if side.kind == "postgresql" else "cdc_sync_conflict"
    return side.rows(f"select table_name, kind, outcome from {name} order by id")


def rejoin(config: Config, refused: int | None = None) -> Rejoined:
    with databases.connect(config.node.database, config.folder) as database:
        return room.rejoin(database, config, refused=refused)


def test_a_laptop_that_was_restored_sends_what_is_new_and_overwrites_nothing_with_what_is_older(
    node: Node, tmp_path: Path
) -> None:
    source, target, config = node
    backup = Backup(source, tmp_path)
    enter(source, "of the lost day")
    source.run("update subject set site = 'of the lost day' where code = 's1'")
    source.run("update subject set site = 'of the lost day' where code = 's2'")
    replicate(config)
    backup.restore()
    enter(source, "after")
    source.run("update subject set site = 'after' where code = 's2'")
    with pytest.raises(RejectedBatch):
        replicate(config)
    report = rejoin(config)
    assert (report.standings, report.issued) == ({"server": Standing.AHEAD}, 1)
    replicate(config)
    assert subjects(target) == {"s1": "of the lost day", "s2": "after", "of the lost day": "1", "after": "1"}
    assert visits(target) == {(code, "v1") for code in subjects(target)}
    assert ("subject", "insert_exists", Outcome.TARGET.value) in conflicts(target)
    assert waiting(config) == 0
    enter(source, "goes on")
    replicate(config)
    assert "goes on" in subjects(target)


def test_a_deletion_that_was_sealed_after_the_restore_and_refused_arrives(node: Node, tmp_path: Path) -> None:
    source, target, config = node
    backup = Backup(source, tmp_path)
    enter(source, "of the lost day")
    replicate(config)
    backup.restore()
    source.run("delete from visit")
    with pytest.raises(RejectedBatch):
        replicate(config)
    source.run("delete from subject where code = 's1'")
    rejoin(config)
    replicate(config)
    assert subjects(target) == {"s2": "1", "of the lost day": "1"}
    assert visits(target) == {("of the lost day", "v1")}


def test_a_batch_that_the_server_has_from_before_is_not_issued_again(node: Node, tmp_path: Path) -> None:
    """Its rows may have changed since, on the day that was lost."""
    source, target, config = node
    source.run("update subject set site = 'sealed' where code = 's1'")
    with databases.connect(config.node.database, config.folder) as database:
        ship.seal_waiting(database, config)
    backup = Backup(source, tmp_path)
    replicate(config)
    source.run("update subject set site = 'newer' where code = 's1'")
    replicate(config)
    backup.restore()
    report = rejoin(config)
    assert report.issued == 0
    replicate(config)
    assert subjects(target)["s1"] == "newer"


def test_a_server_that_was_restored_gets_everything_again(node: Node, tmp_path: Path) -> None:
    source, target, config = node
    backup = Backup(target, tmp_path)
    enter(source, "s3")
    source.run("update subject set site = '2' where code = 's1'")
    replicate(config)
    enter(source, "s4")
    replicate(config)
    backup.restore()
    enter(source, "s5")
    with pytest.raises(CdcSyncError, match="the server lost them"):
        replicate(config)
    report = rejoin(config)
    assert report.standings == {"server": Standing.BEHIND}
    replicate(config)
    assert subjects(target) == subjects(source)
    assert visits(target) == visits(source)
    assert waiting(config) == 0


def test_where_nothing_is_wrong_nothing_is_changed(node: Node) -> None:
    source, target, config = node
    enter(source, "s3")
    report = rejoin(config)
    assert (report.standings, report.rows) == ({"server": Standing.GOES_ON}, ())
    replicate(config)
    assert subjects(target) == subjects(source)
    assert conflicts(target) == []


def test_a_rejoin_that_was_stopped_goes_on(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target, config = node
    backup = Backup(source, tmp_path)
    enter(source, "of the lost day")
    source.run("update subject set site = 'of the lost day'")
    replicate(config)
    backup.restore()
    enter(source, "after")
    with monkeypatch.context() as patch:
        patch.setattr(resync, "_table", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rejoin(config)
    replicate(config)
    assert "after" in subjects(target)
    report = rejoin(config)
    assert report.before
    replicate(config)
    assert subjects(target)["s1"] == "of the lost day"
    assert rejoin(config).standings == {"server": Standing.GOES_ON}


def test_where_nobody_answers_nothing_is_changed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target, config = node
    enter(source, "s3")

    def silent(*_: object) -> None:
        raise Unreachable("nobody answers")

    with monkeypatch.context() as patch:
        patch.setattr(room.roads, "open_road", silent)
        with pytest.raises(Unreachable):
            rejoin(config)
    replicate(config)
    assert subjects(target) == subjects(source)


def test_a_node_that_cannot_ask_is_told_which_batch_was_refused(node: Node, tmp_path: Path) -> None:
    source, target, config = node
    backup = Backup(source, tmp_path)
    source.run("update subject set site = 'of the lost day' where code = 's1'")
    replicate(config)
    backup.restore()
    enter(source, "after")
    with pytest.raises(RejectedBatch):
        replicate(config)
    report = rejoin(config, refused=2)
    assert report.issued == 1
    replicate(config)
    assert subjects(target) == {"s1": "of the lost day", "s2": "1", "after": "1"}


def test_a_node_without_triggers_cannot_rejoin(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    source.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, target, TABLES)
    with pytest.raises(ConfigError, match="device key"):
        rejoin(config)
