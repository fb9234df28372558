"""The road over HTTP, between a real server on a real port and a node: what arrives, what is refused, what is kept."""

import errno
import http.server as http_server
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cdc_sync import apply, databases, identity, loop, roads
from cdc_sync import config as configuration
from cdc_sync.core import device
from cdc_sync.errors import (
    CdcSyncError,
    ConfigError,
    Deferred,
    Forbidden,
    SchemaMismatch,
    TooLarge,
    Unreachable,
)
from cdc_sync.inbox import Stream
from cdc_sync.transports import remote
from cdc_sync.web import applier, limits
from cdc_sync.web.limits import Busy, Rate
from tests.batches import Maker
from tests.commands.conftest import closed_port, eventually, ours, run
from tests.nodes import Shape as Compared
from tests.nodes import Told, compare, replicate, status, waiting
from tests.serving import SUBJECT, Clinic, code_for, enrol, laptop, write
from tests.transports.conftest import Start

SHAPE = Compared("subject", ("code",), ("note",))


@pytest.mark.parametrize("kinds", ["sqlite-postgresql", "postgresql-sqlite", "postgresql-postgresql", "sqlite-sqlite"])
def test_batches_arrive_and_their_receipt_is_signed(start: Start, kinds: str) -> None:
    clinic = start(kinds)
    clinic.add("s1", "s2")
    (delivered,) = replicate(clinic.config)
    assert (delivered.receipt.stored, delivered.receipt.applied) == (1, 1)
    kept = f"select giver, applied, data is not null and signature is not null from {ours(clinic.source)}receipt"
    assert clinic.source.rows(kept) == [("community", 1, True)]
    clinic.source.run("update subject set note = 'seen' where code = 's1'")
    clinic.source.run("delete from subject where code = 's2'")
    replicate(clinic.config)
    compare(clinic.source, clinic.target, SHAPE)
    assert waiting(clinic.config) == 0
    assert clinic.source.rows(f"select count(*) from {ours(clinic.source)}outbox_part") == [(0,)]


def test_a_batch_streams_while_it_is_sealed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = start("sqlite-postgresql")
    clinic.add("s1")
    replicate(clinic.config)
    monkeypatch.setattr(remote.Remote, "send", None)
    clinic.source.many("insert into subject (code) values (?)", ((f"t{i}",) for i in range(20_000)))
    (delivered,) = replicate(clinic.config)
    assert delivered.receipt.applied == 2
    compare(clinic.source, clinic.target, SHAPE)
    assert waiting(clinic.config) == 0


def test_a_stream_that_breaks_loses_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = start("sqlite-postgresql")
    clinic.add("s1")
    replicate(clinic.config)
    broken: list[str] = []

    def finish(*_: object) -> bool:
        broken.append("broken")
        return False

    monkeypatch.setattr(Stream, "finish", finish)
    clinic.add("s2")
    replicate(clinic.config)
    assert broken
    assert clinic.arrived() == ["s1", "s2"]
    assert waiting(clinic.config) == 0


def test_large_rows_do_not_stream_and_arrive(start: Start) -> None:
    clinic = start("sqlite-postgresql")
    clinic.add("s1")
    replicate(clinic.config)
    clinic.source.run("insert into subject (code, note) values ('s2', ?)", ("x" * 5_000_000,))
    replicate(clinic.config)
    assert clinic.target.rows("select length(note) from subject where code = 's2'") == [(5_000_000,)]


def test_without_a_known_key_nothing_is_sent(start: Start) -> None:
    clinic = start(enrolled=False)
    clinic.add("s1")
    with pytest.raises(ConfigError, match="key of 'community' is not known here") as caught:
        replicate(clinic.config)
    assert "enroll --with CODE --at community" in caught.value.hint
    enrol(clinic.served.config, clinic.config)
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]


def test_who_knows_the_server_and_is_not_enrolled_there_is_refused(start: Start) -> None:
    clinic = start(enrolled=False)
    public = device.text(clinic.served.server.app.desk.public_key)
    path = clinic.config.path
    path.write_text(path.read_text().replace("[[destinations]]", f'[[destinations]]\nkey = "{public}"'))
    config = configuration.load(path)
    clinic.add("s1")
    with pytest.raises(Forbidden, match="destination 'community' answers: node 'laptop' is not enrolled") as caught:
        replicate(config)
    assert caught.value.hint == "community says: at this node: cdc-sync enroll laptop"
    assert waiting(config) == 1
    enrol(clinic.served.config, config)
    replicate(config)
    assert clinic.arrived() == ["s1"]


def test_a_key_that_another_node_has_is_not_enrolled_under_the_same_name(start: Start) -> None:
    clinic = start(enrolled=False)
    other = Maker("laptop")
    code = code_for(clinic.served.config, "laptop")
    assert run("enroll", clinic.served.config, "laptop", "--key", device.text(other.public)).exit_code == 0
    result = run("enroll", clinic.config, "--with", code, "--at", "community")
    assert result.exit_code == 1
    assert device.fingerprint(other.public) in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--with", "AAAAA", "--at", "community"), "no such code"),
        (("--with", "AAAAA"), "belong together"),
        (("--at", "community"), "belong together"),
        (("--with", "CODE", "--at", "central"), "'central'"),
        (("laptop-2", "--with", "CODE", "--at", "community"), "too much"),
    ],
    ids=str,
)
def test_a_code_that_is_of_no_use_is_refused_before_anything_is_sent(
    start: Start, options: tuple[str, ...], words: str
) -> None:
    clinic = start(enrolled=False)
    code = code_for(clinic.served.config, "laptop")
    result = run("enroll", clinic.config, *(code if option == "CODE" else option for option in options))
    assert result.exit_code == 2
    assert words in result.stderr
    assert "hint: " in result.stderr


def test_a_code_enrols_one_node_once(start: Start) -> None:
    clinic = start(enrolled=False)
    code = code_for(clinic.served.config, "laptop")
    done = run("enroll", clinic.config, "--with", code, "--at", "community")
    assert done.exit_code == 0
    assert device.fingerprint(clinic.served.server.app.desk.public_key) in done.stdout
    other = start.make_side("sqlite", "other")
    other.script(SUBJECT)
    twin = laptop(start.folder, other, clinic.served, "laptop-2")
    result = run("enroll", twin, "--with", code, "--at", "community")
    assert result.exit_code == 1
    assert "not valid" in result.stderr


def test_a_code_of_another_server_tells_nobody_its_secret(start: Start) -> None:
    clinic = start(enrolled=False)
    elsewhere = write(start.folder, "elsewhere", start.make_side("sqlite", "elsewhere"))
    code = run("enroll", elsewhere, "laptop").stdout.split("--with ")[1].split()[0]
    result = run("enroll", clinic.config, "--with", code, "--at", "community")
    assert result.exit_code == 1
    assert "not the server that gave out this code" in result.stderr


def test_a_revoked_node_is_refused_amid_its_session(start: Start) -> None:
    clinic = start()
    road, batch = opened(clinic), Maker("laptop").seal()
    assert road.receipt("laptop", "e1").stored == 0
    assert run("revoke laptop", clinic.served.config).exit_code == 0
    with pytest.raises(Forbidden, match="'laptop' was revoked"):
        road.receipt("laptop", "e1")
    with pytest.raises(Forbidden, match="'laptop' was revoked"):
        road.send(*batch)
    road.close()
    clinic.add("s1")
    with pytest.raises(Forbidden, match="'laptop' was revoked"):
        replicate(clinic.config)
    assert waiting(clinic.config) == 1


def opened(clinic: Clinic, config: configuration.Config | None = None) -> remote.Remote:
    """The road of the clinic's laptop."""
    config = config or clinic.config
    database = databases.connect(config.node.database, config.folder)
    key = identity.load(config.key_path)
    road = roads.open_road(config, config.destinations[0], database, key)
    assert isinstance(road, remote.Remote)
    return road


def test_the_key_of_the_server_is_looked_at_before_anything_is_told(start: Start) -> None:
    clinic = start()
    clinic.add("s1")
    at = clinic.served.config.key_path
    replaced = clinic.served.server.app.desk
    replaced.key = Maker("other").key
    with pytest.raises(Forbidden, match="key of 'community' is another than before") as caught:
        replicate(clinic.config)
    assert "enroll --show" in caught.value.hint
    assert waiting(clinic.config) == 1
    assert clinic.arrived() == []
    assert at.exists()


def test_another_node_at_the_address_is_told_apart(start: Start) -> None:
    clinic = start()
    path = clinic.config.path
    path.write_text(path.read_text().replace('name = "community"', 'name = "central"'))
    with clinic.source.transaction():
        clinic.source.run("update cdc_sync_peer set name = 'central'")
    with pytest.raises(ConfigError, match="destination 'central': who answers there is node 'community'"):
        replicate(configuration.load(path))


def test_a_server_that_starts_anew_goes_on_with_a_new_session(start: Start) -> None:
    clinic = start()
    road = opened(clinic)
    assert road.receipt("laptop", "e1").stored == 0
    clinic.served.server.app.sessions.end("laptop")
    assert road.receipt("laptop", "e1").stored == 0
    road.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_tables_that_do_not_fit_are_told_before_anything_is_sealed(start: Start, kind: str) -> None:
    clinic = start(f"sqlite-{kind}")
    clinic.target.run("drop table subject")
    clinic.add("s1")
    with pytest.raises(SchemaMismatch, match=r"destination 'community' answers: .*subject"):
        replicate(clinic.config)
    assert status(clinic.config).sealed == 0
    clinic.target.script(SUBJECT)
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]


def test_a_column_that_only_the_laptop_has_is_told_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    clinic = start()
    clinic.target.run("alter table subject drop column note")
    for code in ("s1", "s2"):
        clinic.add(code)
        replicate(clinic.config)
    told = [record.getMessage() for record in caplog.records if "is not at destination" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("table subject: column 'note' is not at destination community")
    assert clinic.arrived() == ["s1", "s2"]


def test_tables_may_have_other_names_there(start: Start) -> None:
    at = start.server(schema="create table person (id {pk}, number text not null unique, note text);")
    source = start.make_side("sqlite", "source")
    source.script(SUBJECT)
    entry = {"key": ["code"], "target": "person", "columns": {"code": "number"}}
    config = laptop(start.folder, source, at.served, tables={"subject": entry})
    enrol(at.served.config, config, "--table", "person:insert")
    source.run("insert into subject (code) values ('s1')")
    replicate(config)
    assert at.side.rows("select number from person") == [("s1",)]
    source.run("delete from subject")
    with pytest.raises(Forbidden, match="may not delete rows of table 'person'"):
        replicate(config)
    assert waiting(config) == 1


def test_what_cannot_be_applied_is_stored_and_told_to_its_origin(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic = start()
    clinic.add("s1")
    replicate(clinic.config)
    clinic.add("s2")
    monkeypatch.setattr(applier, "SOON", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(remote.Remote, "fit", lambda *_: [])
        clinic.target.run("alter table subject rename to person")
        with pytest.raises(
            Deferred, match="destination 'community' has stored batch 2, and cannot apply batch 2"
        ) as caught:
            replicate(clinic.config)
        assert str(caught.value).endswith("its database has no table 'subject'")
        assert waiting(clinic.config) == 1
    clinic.target.run("alter table person rename to subject")
    replicate(clinic.config)
    assert clinic.arrived() == ["s1", "s2"]


def test_rows_that_are_put_aside_are_counted(start: Start) -> None:
    clinic = start()
    clinic.target.run("insert into subject (code) values ('x')")
    clinic.target.run(
        "create trigger no before insert on subject when new.code = 's1' begin select raise(abort, 'no'); end"
    )
    clinic.add("s1", "s2")
    result = run("replicate --once", clinic.config)
    assert result.exit_code == 3
    assert "community: applied up to batch 1" in result.stdout
    assert "1 row put aside there: dead" in result.stdout
    assert clinic.arrived() == ["s2", "x"]


def test_a_batch_that_is_too_large_is_not_even_sent(start: Start) -> None:
    clinic = start(largest_batch=1000)
    clinic.source.run("insert into subject (code, note) values ('s1', hex(randomblob(5000)))")
    with pytest.raises(TooLarge, match=r"batch 1 has \d+ bytes; destination 'community' takes 1000") as caught:
        replicate(clinic.config)
    assert "largest_batch" in caught.value.hint
    assert waiting(clinic.config) == 1


def test_a_server_that_asks_for_a_pause_is_given_it(start: Start) -> None:
    clinic = start()
    asked: list[float] = []

    class Full(Rate):
        def take(self, _: str) -> None:
            asked.append(time.monotonic())
            if len(asked) == 1:
                raise Busy("too many requests", after=1.0, hint="wait")

    clinic.served.server.app.of_nodes = Full(1)
    clinic.add("s1")
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]
    assert asked[1] - asked[0] >= 0.5


def test_where_nobody_answers_the_node_says_so_and_keeps_everything(start: Start) -> None:
    clinic = start()
    path = clinic.config.path
    path.write_text(path.read_text().replace(str(clinic.served.port), str(closed_port())))
    clinic.add("s1")
    with pytest.raises(Unreachable, match="cannot connect to destination 'community': Connection refused") as caught:
        replicate(configuration.load(path))
    assert "cdc-sync serve" in caught.value.hint
    assert waiting(clinic.config) == 1


def test_a_server_whose_database_is_gone_is_told_of_without_its_secrets(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = start()
    clinic.add("s1")
    clinic.target.run("alter table cdc_sync_peer rename to cdc_sync_gone")
    with pytest.raises(Unreachable) as caught:
        replicate(clinic.config)
    assert "database of this server cannot do that now" in str(caught.value)
    assert "peer" not in str(caught.value)
    assert any("cdc_sync_peer" in record.getMessage() for record in caplog.records)
    clinic.target.run("alter table cdc_sync_gone rename to cdc_sync_peer")
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]


def test_what_answers_there_and_is_no_cdc_sync_is_told_apart(start: Start) -> None:
    clinic = start()
    with plain_web_server() as port:
        path = clinic.config.path
        path.write_text(path.read_text().replace(str(clinic.served.port), str(port)))
        with pytest.raises(CdcSyncError, match="it is no cdc-sync") as caught:
            replicate(configuration.load(path))
    assert caught.value.hint == "check the url"


def test_nothing_secret_is_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clinic = start()
    clinic.source.run("insert into subject (code, note) values ('s1', 'Xylophone7')")
    replicate(clinic.config)
    with pytest.raises(Forbidden):
        run("revoke laptop", clinic.served.config)
        clinic.add("s2")
        replicate(clinic.config)
    logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert "Xylophone7" not in logged
    assert "Bearer" not in logged
    assert not [word for word in logged.split() if len(word) == 43 and word.isascii() and not word.startswith("SHA256")]


@contextmanager
def plain_web_server() -> Iterator[int]:
    """Someone else's server."""
    server = http_server.HTTPServer(("127.0.0.1", 0), http_server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_progress_is_told_of_what_is_applied(start: Start) -> None:
    clinic, told = start(), Told()
    clinic.add("s1", "s2", "s3")
    loop.drain(clinic.config, told)
    assert (told.awaited, told.done) == (3, 3)


def test_receipts_are_ready_for_who_reads_them_over_a_connection(start: Start) -> None:
    clinic = start()
    clinic.add("s1")
    replicate(clinic.config)
    passing = "select giver, origin, applied from cdc_sync_passing"
    eventually(lambda: clinic.target.rows(passing) == [("community", "laptop", 1)], "the receipt is published")


def test_a_server_without_room_stores_nothing_and_says_so_in_its_log(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = start()
    clinic.add("s1")

    async def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(limits, "spool", full)
        with pytest.raises(Unreachable, match="the server failed"):
            replicate(clinic.config)
    assert any("No space left on device" in record.getMessage() for record in caplog.records)
    assert waiting(clinic.config) == 1
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]


def test_what_nobody_expected_while_applying_is_contained_and_said(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clinic = start()
    clinic.add("s1")
    monkeypatch.setattr(applier, "SOON", 0.0)

    def fault(*_: object) -> None:
        raise KeyError("".join(("Xylo", "phone7")))

    with monkeypatch.context() as patch:
        patch.setattr(apply, "apply_next", fault)
        with pytest.raises(Deferred, match="cannot apply batch 1"):
            replicate(clinic.config)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "KeyError; this is a fault of cdc-sync" in logged
    assert "Xylophone7" not in logged
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]
