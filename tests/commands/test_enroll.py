"""enroll and revoke: who may send batches here is said by the server's DBA, and holds for every road."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cdc_sync import databases, peers, receive
from cdc_sync.config import Config, Destination
from cdc_sync.core import chain, device, wire
from cdc_sync.core.chain import Verdict
from cdc_sync.core.limits import Limits
from cdc_sync.core.peers import Application, Code, apply_for
from cdc_sync.core.renames import Rename, Renames
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import Forbidden, RejectedBatch, TooLarge
from tests.batches import Maker
from tests.commands.conftest import SUBJECT, Walk, everything, ours, run, state
from tests.conftest import Make
from tests.nodes import Side, install, replicate, write_config


@pytest.fixture
def clinic(make_side: Make, kind: str) -> Side:
    side = make_side(kind, "server")
    side.script(SUBJECT)
    return side


@pytest.fixture
def config(clinic: Side, tmp_path: Path) -> Config:
    """A server that only receives."""
    return write_config(tmp_path, "server", clinic, {}, {})


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    with databases.connect(config.node.database, config.folder) as opened:
        receive.prepare(opened)
        yield opened


@pytest.fixture
def laptop() -> Maker:
    return Maker("laptop")


def said(config: Config, *options: str) -> str:
    result = run("enroll", config, *options)
    assert result.exit_code == 0, everything(result)
    return result.stdout


def enroll(config: Config, node: Maker, *options: str) -> None:
    said(config, node.name, "--key", device.text(node.public, node.name), *options)


def code_of(text: str) -> Code:
    found = re.search(r"--with ([0-9A-Z-]+) --at server", text)
    assert found, text
    return Code.read(found[1])


def application(config: Config, node: Maker, code: Code) -> Application:
    shown = json.loads(said(config, "--show", "--json"))
    return apply_for(node.key, node.name, code, device.read(shown["public_key"]))


def redeem(database: Database, config: Config, asked: Application) -> peers.Peer:
    return peers.redeem(database, peers.own_key(database, config), asked)


def listed(config: Config) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(said(config, "--list", "--json"))
    return found


def test_a_node_enrols_once_with_its_code(config: Config, database: Database, laptop: Maker) -> None:
    code = code_of(said(config, "laptop", "--table", "subject:insert"))
    asked = application(config, laptop, code)
    peer = redeem(database, config, asked)
    assert (peer.name, peer.public_key, peer.grants) == ("laptop", laptop.public, {"subject": ("insert",)})
    assert redeem(database, config, asked).enrolled_at == peer.enrolled_at, "who was not told may ask again"
    other = Maker("laptop")
    with pytest.raises(Forbidden, match="known here with another key"):
        redeem(database, config, application(config, other, code))
    assert receive.store(database, *laptop.seal(), "laptop") is Verdict.STORE


def test_a_used_code_enrols_nobody_else(config: Config, database: Database, laptop: Maker) -> None:
    code = code_of(said(config, "laptop"))
    redeem(database, config, application(config, laptop, code))
    with pytest.raises(Forbidden, match="not valid"):
        redeem(database, config, application(config, Maker("laptop-2"), code))


def test_a_code_is_for_one_name_and_for_some_days(
    config: Config, database: Database, laptop: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = code_of(said(config, "laptop", "--days", "2"))
    with pytest.raises(Forbidden, match="not valid"):
        redeem(database, config, application(config, Maker("laptop-2"), code))
    monkeypatch.setattr("cdc_sync.clock.now", lambda: "2999-01-01T00:00:00+00:00")
    with pytest.raises(Forbidden, match="not valid") as caught:
        redeem(database, config, application(config, laptop, code))
    assert "cdc-sync enroll" in caught.value.hint
    assert listed(config)[0]["name"] == "laptop"


def test_a_new_code_ends_the_one_before(config: Config, database: Database, laptop: Maker) -> None:
    first, second = code_of(said(config, "laptop")), code_of(said(config, "laptop"))
    with pytest.raises(Forbidden, match="not valid"):
        redeem(database, config, application(config, laptop, first))
    redeem(database, config, application(config, laptop, second))


def test_a_code_and_its_secret_are_kept_nowhere(config: Config, clinic: Side) -> None:
    code = code_of(said(config, "laptop"))
    kept = repr(state(clinic))
    assert str(code) not in kept
    assert code.secret.hex() not in kept
    assert repr(code.secret)[2:-1] not in kept


def test_without_being_enrolled_a_node_comes_by_no_road_but_the_database(database: Database, laptop: Maker) -> None:
    batch = laptop.seal()
    with pytest.raises(Forbidden, match="'laptop' is not enrolled here") as caught:
        receive.store(database, *batch, "laptop")
    assert caught.value.hint == "at this node: cdc-sync enroll laptop"
    assert receive.store(database, *batch) is Verdict.STORE
    with pytest.raises(Forbidden, match="not enrolled"):
        receive.store(database, *laptop.seal(), "laptop")


def test_a_name_that_the_database_let_in_is_enrolled_with_its_key_only(
    config: Config, database: Database, laptop: Maker
) -> None:
    receive.store(database, *laptop.seal())
    assert "laptop: by database connection only" in said(config, "--list")
    result = run("enroll", config, "laptop", "--key", device.text(Maker("laptop").public))
    assert result.exit_code == 2
    assert device.fingerprint(laptop.public) in result.stderr
    enroll(config, laptop)
    assert receive.store(database, *laptop.seal(), "laptop") is Verdict.STORE


def test_a_key_has_one_name(config: Config, laptop: Maker) -> None:
    enroll(config, laptop)
    result = run("enroll", config, "laptop-2", "--key", device.text(laptop.public))
    assert result.exit_code == 2
    assert "key of node 'laptop'" in result.stderr
    assert [entry["name"] for entry in listed(config)] == ["laptop"]


@pytest.mark.parametrize("name", ["server", "../x", "a b"])
def test_names_that_nobody_can_be_enrolled_under(config: Config, laptop: Maker, name: str) -> None:
    for options in (("--key", device.text(laptop.public)), ()):
        result = run("enroll", config, name, *options)
        assert result.exit_code == 2
        assert f"{name!r}" in result.stderr
    assert listed(config) == []


def test_who_is_enrolled_needs_no_code(config: Config, laptop: Maker) -> None:
    enroll(config, laptop)
    result = run("enroll", config, "laptop")
    assert result.exit_code == 2
    assert device.fingerprint(laptop.public) in result.stderr


@pytest.mark.parametrize("options", [(), ("laptop", "--list"), ("--list", "--show")], ids=" ".join)
def test_one_thing_is_asked_for_at_a_time(config: Config, options: tuple[str, ...]) -> None:
    assert run("enroll", config, *options).exit_code == 2


def test_a_key_that_is_none_is_refused(config: Config) -> None:
    result = run("enroll", config, "laptop", "--key", "x")
    assert result.exit_code == 2
    assert "ssh-ed25519" in result.stderr


def test_who_is_known_is_listed(config: Config, laptop: Maker) -> None:
    assert said(config, "--list") == "Nobody is known here.\n"
    enroll(config, laptop, "--relay", "--table", "subject:insert,update")
    said(config, "laptop-2")
    lines = said(config, "--list").splitlines()
    assert lines[0].startswith("laptop: enrolled ")
    assert device.fingerprint(laptop.public) in lines[0]
    assert lines[0].endswith("writes subject (insert, update), carries for others")
    assert lines[1].startswith("laptop-2: may enrol until ")
    assert lines[1].endswith("writes every table")
    first, second = listed(config)
    assert (first["fingerprint"], first["relay"]) == (device.fingerprint(laptop.public), True)
    assert first["grants"] == {"subject": ["insert", "update"]}
    assert second["name"] == "laptop-2"


def test_a_node_shows_who_it_is_and_stays_it(config: Config) -> None:
    first, shown = said(config, "--show"), json.loads(said(config, "--show", "--json"))
    assert shown["name"] == "server"
    assert shown["fingerprint"] in first
    assert shown["public_key"] in first
    assert shown["public_key"].endswith(" server")
    assert json.loads(said(config, "--show", "--json")) == shown


def test_a_node_that_captures_shows_the_key_that_it_signs_with_and_makes_no_other(walk: Walk) -> None:
    install(walk.config)
    shown = json.loads(said(walk.config, "--show", "--json"))
    kept = walk.source.rows(f"select public_key from {ours(walk.source)}node")[0][0]
    assert device.read(shown["public_key"]) == bytes(kept)
    walk.config.key_path.unlink()
    result = run("enroll", walk.config, "--show")
    assert result.exit_code == 2
    assert "is missing" in result.stderr
    assert not walk.config.key_path.exists()


def test_a_revoked_node_is_refused_whatever_road_it_comes_by(config: Config, database: Database, laptop: Maker) -> None:
    enroll(config, laptop)
    receive.store(database, *laptop.seal(), "laptop")
    assert run("revoke laptop", config).stdout == "laptop: revoked\n"
    batch = laptop.seal()
    for carrier in ("laptop", None):
        with pytest.raises(Forbidden, match="'laptop' was revoked here on 20"):
            receive.store(database, *batch, carrier)
    assert "laptop: revoked 20" in said(config, "--list")
    enroll(config, laptop)
    assert receive.store(database, *batch, "laptop") is Verdict.STORE


def test_a_revoked_node_is_refused_over_a_connection_and_loses_nothing(walk: Walk, tmp_path: Path) -> None:
    server = write_config(tmp_path, "server", walk.target, {}, {})
    install(walk.config)
    walk.add("s1")
    replicate(walk.config)
    assert run("revoke laptop", server).exit_code == 0
    for code in ("s2", "s3"):
        walk.add(code)
        result = run("replicate --once", walk.config)
        assert result.exit_code == 1
        assert "'laptop' was revoked" in result.stderr
    assert walk.arrived() == ["s1"]
    shown = json.loads(said(walk.config, "--show", "--json"))
    said(server, "laptop", "--key", shown["public_key"])
    assert run("replicate --once", walk.config).exit_code == 0
    assert walk.arrived() == ["s1", "s2", "s3"]


def test_a_stream_of_a_revoked_node_leaves_nothing(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    for side in (source, target):
        side.script(SUBJECT)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.run("insert into subject (code) values ('s1')")
    replicate(config)
    target.run("update cdc_sync.peer set revoked_at = '2026-01-01'")
    source.run("insert into subject (code) values ('s2')")
    with pytest.raises(Forbidden, match="revoked"):
        replicate(config)
    assert target.rows("select code from subject") == [("s1",)]


def test_revoking_ends_a_code(config: Config, database: Database, laptop: Maker) -> None:
    code = code_of(said(config, "laptop"))
    assert "of no use" in run("revoke laptop", config).stdout
    with pytest.raises(Forbidden, match="not valid"):
        redeem(database, config, application(config, laptop, code))


def test_a_revoked_node_is_not_enrolled_again_by_its_old_code(
    config: Config, database: Database, laptop: Maker
) -> None:
    asked = application(config, laptop, code_of(said(config, "laptop")))
    redeem(database, config, asked)
    run("revoke laptop", config)
    with pytest.raises(Forbidden, match="revoked"):
        redeem(database, config, asked)


def test_nobody_can_be_revoked_whom_nobody_knows(config: Config) -> None:
    result = run("revoke laptop", config)
    assert result.exit_code == 2
    assert "no node 'laptop'" in result.stderr


def test_only_a_relay_brings_other_nodes_batches(config: Config, database: Database, laptop: Maker) -> None:
    driver, batch = Maker("driver"), laptop.seal()
    enroll(config, driver)
    enroll(config, laptop)
    with pytest.raises(Forbidden, match="'driver' may not bring batches of other nodes"):
        receive.store(database, *batch, "driver")
    enroll(config, driver, "--relay")
    assert receive.store(database, *batch, "driver") is Verdict.STORE
    assert receive.store(database, *batch, "laptop") is Verdict.KNOWN


def test_a_relay_brings_nothing_of_nodes_that_are_not_enrolled(
    config: Config, database: Database, laptop: Maker
) -> None:
    enroll(config, Maker("driver"), "--relay")
    with pytest.raises(Forbidden, match="'laptop' is not enrolled"):
        receive.store(database, *laptop.seal(), "driver")


def test_a_relay_cannot_sign_for_others(config: Config, database: Database, laptop: Maker) -> None:
    driver = Maker("driver")
    enroll(config, driver, "--relay")
    enroll(config, laptop)
    with pytest.raises(RejectedBatch, match="signed by another key"):
        receive.store(database, *replace(laptop, key=driver.key).seal(), "driver")


def test_what_a_node_may_write_holds_for_every_road_and_by_the_names_here(
    config: Config, database: Database, laptop: Maker
) -> None:
    enroll(config, laptop, "--table", "clinic.subject:insert")
    before = replace(laptop)
    refused = laptop.seal()
    for carrier in ("laptop", None):
        with pytest.raises(Forbidden, match="may not insert rows of table 'subject'"):
            receive.store(database, *refused, carrier)
    with database.begin(Mode.WRITE) as session:
        renamed = Renames({"subject": Rename(target="clinic.subject")})
        session.run("renamed_set", origin="laptop", renames=renamed.encode())
    assert receive.store(database, *refused, "laptop") is Verdict.STORE
    with pytest.raises(Forbidden, match=r"may not delete rows of table 'clinic\.subject'"):
        receive.store(database, *laptop.seal(counts={"D": 1}), "laptop")
    assert receive.position(database, "laptop", "e1").stored == before.number + 1


@pytest.mark.parametrize("name", ["", "../laptop", "a b", "x" * 64])
@pytest.mark.parametrize("carrier", ["laptop", None])
def test_an_unset_identity_is_refused(database: Database, name: str, carrier: str | None) -> None:
    with pytest.raises(Forbidden, match="without a name"):
        receive.store(database, *Maker(name).seal(), carrier)


@pytest.mark.parametrize(
    "limits", [Limits(header=10), Limits(parts=1), Limits(part=10), Limits(batch=30), Limits(unpacked=10)], ids=str
)
def test_what_is_too_large_is_refused_before_anything_is_stored(
    config: Config, database: Database, laptop: Maker, limits: Limits
) -> None:
    enroll(config, laptop)
    batch = laptop.seal(["s1", "s2"])
    with pytest.raises(TooLarge) as caught:
        receive.store(database, *batch, "laptop", limits)
    assert caught.value.hint
    assert receive.position(database, "laptop", "e1").stored == 0
    assert receive.store(database, *batch, "laptop") is Verdict.STORE


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"number": -1},
        {"number": 2**63},
        {"epoch": ""},
        {"epoch": "e\0"},
        {"epoch": "e" * 99},
        {"sections": ()},
        {"rows": -1},
        {"rows": 2**63},
        {"size": -1},
    ],
    ids=str,
)
@pytest.mark.parametrize("carrier", ["laptop", None])
def test_a_header_that_no_node_writes_is_refused(
    config: Config, database: Database, laptop: Maker, change: dict[str, object], carrier: str | None
) -> None:
    enroll(config, laptop)
    sealed, parts = laptop.seal()
    header = wire.decode_header(sealed.header)
    of_part = {name: change[name] for name in change if name in ("rows", "size")}
    changed = replace(header, parts=(replace(header.parts[0], **of_part),)) if of_part else replace(header, **change)
    with pytest.raises(RejectedBatch) as caught:
        receive.store(database, chain.seal(changed, laptop.key), parts, carrier)
    assert caught.value.hint
    assert receive.store(database, sealed, parts, carrier) is Verdict.STORE


def test_a_part_that_unpacks_without_end_is_refused(config: Config, database: Database, laptop: Maker) -> None:
    enroll(config, laptop)
    with pytest.raises(TooLarge, match="unpacks to more"):
        receive.store(database, *laptop.seal(["x" * 50_000_000]), "laptop", Limits(unpacked=40_000_000))


def test_a_servers_key_is_known_for_its_receipts_and_lets_it_write_nothing(config: Config, database: Database) -> None:
    central = Maker("central")
    with database.begin(Mode.WRITE) as session:
        peers.learn(session, "central", central.public)
        peers.learn(session, "central", central.public)
    with pytest.raises(Forbidden, match="may not insert"):
        receive.store(database, *central.seal(), "central")
    with pytest.raises(Forbidden, match="is another than before"), database.begin(Mode.WRITE) as session:
        peers.learn(session, "central", Maker("central").public)
    assert "central: enrolled" in said(config, "--list")


def test_a_database_of_another_node_enrols_nobody(walk: Walk, tmp_path: Path) -> None:
    install(walk.config)
    other = write_config(tmp_path, "other", walk.source, {}, {})
    result = run("enroll", other, "laptop-2", "--key", device.text(Maker("laptop-2").public))
    assert result.exit_code == 2
    assert "belongs to node 'laptop'" in result.stderr


def test_a_file_may_name_a_servers_key(config: Config, database: Database) -> None:
    one, other = Maker("central"), Maker("central")
    known = replace(config, destinations=(_destination(one),))
    peers.learn_configured(database, known)
    peers.learn_configured(database, known)
    with pytest.raises(Forbidden, match="is another than before"):
        peers.learn_configured(database, replace(config, destinations=(_destination(other),)))


def _destination(node: Maker) -> Destination:
    return Destination(name=node.name, key=node.public)
