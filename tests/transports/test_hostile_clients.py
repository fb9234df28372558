"""Whoever comes to a server as they like: refused with the reason, and nothing is stored, held up or used up by it."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync.core import talk, wire
from cdc_sync.core.frames import write as framed
from cdc_sync.web import limits, protocol
from cdc_sync.web.limits import Pace, Rate
from cdc_sync.web.sessions import ANSWERED, IDLE, Sessions, Who
from tests.batches import Maker
from tests.commands.conftest import eventually
from tests.transports.conftest import At, Start, Stranger, refused

PATHS = [
    ("GET", "/v1/positions"),
    ("GET", "/v1/receipts"),
    ("GET", "/v1/receipts/laptop/e1"),
    ("POST", "/v1/receipts"),
    ("POST", "/v1/fit"),
    ("PUT", "/v1/names"),
    ("GET", "/v1/batches/laptop/e1/1"),
    ("PUT", "/v1/batches/laptop/e1/1"),
    ("PUT", "/v1/stream/laptop/e1/1"),
    ("GET", "/v1/digests/laptop/e1/1"),
]
"""Everything that is for nodes with a session only."""


def stored(at: At) -> int:
    """Batches that the server has stored, of everybody."""
    rows = at.side.rows(f"select stored from {'cdc_sync.' if at.side.kind == 'postgresql' else 'cdc_sync_'}position")
    return sum(number for (number,) in rows)


def test_without_a_session_nothing_is_done(at: At) -> None:
    stranger = Stranger(at.served, Maker("laptop"))
    for token in ("", "of-nobody", "\x7f"):
        stranger.token = token
        for method, path in PATHS:
            answer = stranger.ask(method, path, b"x" * 100 if method != "GET" else None)
            refused(answer, 401, "session")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert stored(at) == 0


def test_a_proof_is_good_once(at: At) -> None:
    stranger = at.enrolled()
    proof = talk.prove(stranger.maker.key, *stranger.challenge())
    assert stranger.ask("POST", "/v1/session", proof).status_code == 200
    refused(stranger.ask("POST", "/v1/session", proof), 401, "answered already")


def test_a_session_is_for_who_holds_the_key(at: At) -> None:
    stranger = at.enrolled()
    thief = Stranger(at.served, replace(stranger.maker, key=Ed25519PrivateKey.generate()))
    said, answer = stranger.challenge()
    refused(thief.ask("POST", "/v1/session", talk.prove(thief.maker.key, said, answer)), 403, "without the key")
    refused(thief.ask("POST", "/v1/session", talk.prove(thief.maker.key, *thief.challenge())), 403, "another key")
    other = replace(talk.prove(stranger.maker.key, *stranger.challenge()), node="laptop-2")
    refused(stranger.ask("POST", "/v1/session", other), 403, "without the key")


@pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 64, "\n"])
def test_an_unset_identity_gets_no_challenge(at: At, name: str) -> None:
    said = talk.hello(Ed25519PrivateKey.generate(), name)
    refused(Stranger(at.served, Maker("x")).ask("POST", "/v1/challenge", said), 403, "no name")


def test_a_node_that_is_not_enrolled_gets_no_session(at: At) -> None:
    stranger = Stranger(at.served, Maker("laptop"))
    refused(
        stranger.ask("POST", "/v1/session", talk.prove(stranger.maker.key, *stranger.challenge())), 403, "not enrolled"
    )


def test_challenges_and_tokens_have_an_end() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    said = talk.hello(Ed25519PrivateKey.generate(), "laptop")
    challenge = talk.challenge(Ed25519PrivateKey.generate(), "server", said)
    sessions.ask(said, challenge)
    now[0] += ANSWERED + 1
    assert sessions.asked(challenge.nonce) is None
    who = Who(node="laptop", public_key=said.public_key)
    token = sessions.open(who)
    for _ in range(3):
        now[0] += IDLE - 1
        assert sessions.who(token) == who
    now[0] += IDLE + 1
    assert sessions.who(token) is None


def test_tokens_are_kept_as_their_digests_only() -> None:
    sessions = Sessions()
    token = sessions.open(Who(node="laptop", public_key=b""))
    assert token not in repr(vars(sessions))


def test_a_batch_is_stored_once_whoever_sends_it_again(at: At) -> None:
    laptop = at.enrolled().log_in()
    batch = laptop.maker.seal()
    assert laptop.put(*batch).json() == {"verdict": "stored"}
    assert laptop.put(*batch).json() == {"verdict": "known"}
    assert stored(at) == 1


def test_gaps_and_forks_are_refused(at: At) -> None:
    laptop = at.enrolled().log_in()
    twin = replace(laptop.maker)
    laptop.put(*laptop.maker.seal(["s1"]))
    refused(laptop.put(*twin.seal(["s2"])), 409, "differs from the one already received")
    laptop.maker.seal()
    refused(laptop.put(*laptop.maker.seal()), 409, "batch 3", "before the ones that it follows")
    assert stored(at) == 1


def test_a_batch_of_somebody_else_is_refused(at: At) -> None:
    laptop, other = at.enrolled().log_in(), Maker("laptop-2")
    refused(laptop.put(*other.seal()), 403, "may not bring batches of other nodes")
    relay = at.enrolled("--relay", name="driver").log_in()
    refused(relay.put(*other.seal()), 403, "'laptop-2' is not enrolled")
    refused(relay.put(*replace(laptop.maker, key=relay.maker.key).seal()), 409, "signed by another key")
    assert relay.put(*laptop.maker.seal()).json() == {"verdict": "stored"}
    assert stored(at) == 1


def test_what_a_node_may_not_write_is_refused(at: At) -> None:
    laptop = at.enrolled("--table", "subject:insert").log_in()
    before = replace(laptop.maker)
    refused(laptop.put(*laptop.maker.seal(table="visit")), 403, "may not insert rows of table 'visit'")
    refused(laptop.put(*before.seal(counts={"D": 1})), 403, "may not delete rows of table 'subject'")
    assert stored(at) == 0


def test_what_waits_is_not_renamed_into_what_a_node_may_not_write(start: Start) -> None:
    at = start.server(apply=False)
    laptop = at.enrolled("--table", "subject").log_in()
    assert laptop.put(*laptop.maker.seal()).status_code == 200
    names = talk.Names(renames={"subject": wire.from_json(b'{"target": "visit"}', talk.Rename, "")})
    refused(laptop.ask("PUT", "/v1/names", names), 403, "may not insert rows of table 'visit'")
    assert at.side.rows("select count(*) from cdc_sync_renamed") == [(0,)]


@pytest.mark.parametrize("path", ["laptop/e1/2", "laptop/e2/1", "laptop-2/e1/1"])
def test_a_batch_at_another_address_is_refused(at: At, path: str) -> None:
    laptop = at.enrolled().log_in()
    body = b"".join(framed(*laptop.maker.seal()))
    refused(laptop.ask("PUT", f"/v1/batches/{path}", body), 409, "another one than its address says")
    assert stored(at) == 0


@pytest.mark.parametrize(
    "path", ["laptop/e1/0", "laptop/e1/-1", "laptop/e1/x", "laptop/e1/99999999999999999999", "a b/e1/1"]
)
def test_addresses_that_are_none_are_refused(at: At, path: str) -> None:
    answer = at.enrolled().log_in().ask("PUT", f"/v1/batches/{path}", b"x")
    assert answer.status_code in (400, 404)
    assert answer.json()["hint"]


def test_unknown_addresses_and_methods_are_told_in_json(at: At) -> None:
    stranger = Stranger(at.served, Maker("laptop"))
    refused(stranger.ask("GET", "/v1/everything"), 404, "nothing is at this address")
    refused(stranger.ask("DELETE", "/v1/positions"), 405, "nothing is at this address")


@pytest.mark.parametrize("cut", [1, 40, -1], ids=["head", "header", "last"])
def test_a_body_that_is_cut_off_leaves_nothing(at: At, cut: int) -> None:
    laptop = at.enrolled().log_in()
    batch = laptop.maker.seal()
    body = b"".join(framed(*batch))
    refused(laptop.ask("PUT", "/v1/batches/laptop/e1/1", body[:cut]), 409)
    refused(laptop.ask("PUT", "/v1/batches/laptop/e1/1", body + b"x"), 409, "not as long")
    with raw(at, laptop, len(body)) as line:
        line.sendall(body[:cut])
    assert stored(at) == 0
    assert laptop.put(*batch).json() == {"verdict": "stored"}


@contextmanager
def raw(at: At, laptop: Stranger, length: int, path: str = "/v1/batches/laptop/e1/1") -> Iterator[socket.socket]:
    """A connection over which a request's head was sent."""
    with socket.create_connection(("127.0.0.1", at.served.port)) as line:
        head = f"PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {laptop.token}\r\n"
        line.sendall(f"{head}content-length: {length}\r\n\r\n".encode())
        yield line


def answered(line: socket.socket) -> bytes:
    """What comes before the connection is closed, or nothing more for long."""
    line.settimeout(10)
    found = b""
    try:
        while data := line.recv(65536):
            found += data
            if b"\r\n\r\n" in found and found.endswith(b"}"):
                break
    except ConnectionError:
        pass
    return found


def test_what_is_too_large_is_refused_before_it_is_read(start: Start) -> None:
    at = start.server(largest_batch=1000)
    laptop = at.enrolled().log_in()
    with raw(at, laptop, 10**12) as line:
        assert answered(line).startswith(b"HTTP/1.1 413 ")
    app = at.served.server.app
    app.desk.limits = replace(app.desk.limits, header=1000)
    answer = laptop.client.put(
        "/v1/batches/laptop/e1/1",
        content=(b"x" * 1000 for _ in range(10)),
        headers={"authorization": f"Bearer {laptop.token}"},
    )
    refused(answer, 413, "2000 bytes")
    refused(laptop.put(*laptop.maker.seal([str(i) for i in range(50)])), 413, "2000")
    assert stored(at) == 0


def test_a_zip_bomb_is_refused(at: At) -> None:
    app = at.served.server.app
    app.desk.limits = replace(app.desk.limits, unpacked=4_000_000)
    laptop = at.enrolled().log_in()
    sealed, parts = laptop.maker.seal(["x" * 5_000_000])
    assert sum(map(len, parts)) < 10_000
    refused(laptop.put(sealed, parts), 413, "unpacks to more than the 4000000 bytes")
    assert stored(at) == 0


def test_json_that_is_none_or_too_large_is_refused(at: At) -> None:
    stranger = Stranger(at.served, Maker("laptop"))
    refused(stranger.ask("POST", "/v1/challenge", b"{"), 400, "cannot be read")
    refused(stranger.ask("POST", "/v1/challenge", b" " * (limits.STRANGERS + 1)), 413, "larger")
    refused(stranger.ask("POST", "/v1/enroll", b'{"name": "x"}'), 400, "cannot be read")


def test_a_client_that_stops_holds_no_transaction_and_is_let_go(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY", Pace(patience=0.3, slowest=1))
    laptop = at.enrolled().log_in()
    batch = laptop.maker.seal()
    with raw(at, laptop, 1000) as line:
        line.sendall(b"x" * 10)
        assert laptop.put(*batch).json() == {"verdict": "stored"}
        assert answered(line).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_crawls_is_let_go(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY", Pace(patience=0.3, slowest=10_000))
    laptop = at.enrolled().log_in()
    with raw(at, laptop, 1000) as line:
        began = time.monotonic()
        line.settimeout(0.05)
        found = b""
        while not found and time.monotonic() < began + 10:
            line.sendall(b"x")
            try:
                found = line.recv(100)
            except TimeoutError:
                continue
        assert found.startswith(b"HTTP/1.1 408 ")


def test_a_connection_over_which_no_request_comes_is_ended(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD", 0.3)
    for sent in (b"", b"GET /v1/health HTTP/1.1\r\nx: "):
        with socket.create_connection(("127.0.0.1", at.served.port)) as line:
            line.sendall(sent)
            line.settimeout(10)
            with pytest.raises(ConnectionError):
                assert line.recv(100) == b""
                raise ConnectionError
    health = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", at.served.port)) as line:
        line.settimeout(10)
        line.sendall(health)
        assert answered(line).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.5)
        line.sendall(health)
        assert answered(line).startswith(b"HTTP/1.1 200 ")
        line.sendall(b"GET")
        assert line.recv(100) == b""


def test_a_request_whose_head_has_no_end_is_refused(at: At) -> None:
    with socket.create_connection(("127.0.0.1", at.served.port)) as line:
        try:
            for _ in range(100):
                line.sendall(b"GET /v1/health HTTP/1.1\r\nx: " + b"y" * 1000)
            assert answered(line).startswith(b"HTTP/1.1 400 ")
        except ConnectionError:
            pass


def test_a_client_that_takes_no_answer_is_let_go(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PATIENCE", 0.3)
    at = start.server(node="relay = true")
    laptop, relay = at.enrolled().log_in(), at.enrolled("--relay", name="driver").log_in()
    assert laptop.put(*laptop.maker.seal([os.urandom(2_000_000).hex() for _ in range(8)])).status_code == 200
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", at.served.port))
        asked = f"GET /v1/batches/laptop/e1/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {relay.token}\r\n\r\n"
        line.sendall(asked.encode())
        for client in (laptop.client, relay.client):
            client.close()
        connections = at.served.server.server_state.connections
        eventually(lambda: len(connections) == 1, "it is being answered")
        eventually(lambda: not connections, "it was let go")


def test_connections_of_one_address_are_counted(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "OF_ONE", 3)
    lines = [socket.create_connection(("127.0.0.1", at.served.port)) for _ in range(6)]
    try:
        eventually(lambda: len(at.served.server.server_state.connections) == 3, "three connections are kept")
    finally:
        for line in lines:
            line.close()
    eventually(lambda: not at.served.server.server_state.connections, "none is left")
    assert Stranger(at.served, Maker("x")).ask("GET", "/v1/health").status_code == 200


def test_requests_are_counted_by_node_and_by_address(at: At) -> None:
    app = at.served.server.app
    laptop, other = at.enrolled().log_in(), at.enrolled(name="laptop-2").log_in()
    app.of_nodes = Rate(2)
    for _ in range(2):
        assert laptop.ask("GET", "/v1/positions").status_code == 200
    answer = laptop.ask("GET", "/v1/positions")
    refused(answer, 429, "2 requests a minute")
    assert int(answer.headers["retry-after"]) > 1
    assert other.ask("GET", "/v1/positions").status_code == 200
    app.of_addresses = Rate(1)
    assert other.ask("GET", "/v1/health").status_code == 200
    refused(Stranger(at.served, Maker("x")).ask("GET", "/v1/health"), 429, "requests a minute")


def test_a_rate_comes_back_with_time() -> None:
    now = [0.0]
    rate = Rate(60, lambda: now[0])
    for _ in range(60):
        rate.take("laptop")
    with pytest.raises(limits.Busy) as caught:
        rate.take("laptop")
    assert 0 < caught.value.after <= 1
    now[0] += 1.01
    rate.take("laptop")
    rate.take("another")


def test_a_node_has_some_places_for_batches_and_leaves_others_some(at: At) -> None:
    laptop, other = at.enrolled().log_in(), at.enrolled(name="laptop-2").log_in()
    lines: list[socket.socket] = []

    def are_taken() -> bool:
        """Whether one batch too many is refused; where not, another one begins to be sent, and never ends."""
        if laptop.ask("PUT", "/v1/batches/laptop/e1/1", b"").status_code == 429:
            return True
        lines.append(socket.create_connection(("127.0.0.1", at.served.port)))
        head = f"PUT /v1/batches/laptop/e1/1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {laptop.token}\r\n"
        lines[-1].sendall(f"{head}content-length: 99\r\n\r\n".encode())
        return False

    try:
        eventually(are_taken, "places are taken")
        assert len(lines) >= limits.UPLOADS_OF_ONE
        assert other.put(*other.maker.seal()).json() == {"verdict": "stored"}
    finally:
        for line in lines:
            line.close()
    batch = laptop.maker.seal()
    eventually(lambda: laptop.put(*batch).status_code == 200, "places are free again")


def test_positions_and_receipts_of_others_are_for_relays(at: At) -> None:
    laptop, other = at.enrolled().log_in(), at.enrolled(name="laptop-2").log_in()
    relay = at.enrolled("--relay", name="driver").log_in()
    assert laptop.put(*laptop.maker.seal()).status_code == 200
    assert [each["origin"] for each in laptop.ask("GET", "/v1/positions").json()["stored"]] == ["laptop"]
    assert other.ask("GET", "/v1/positions").json() == {"stored": [], "held": []}
    assert len(relay.ask("GET", "/v1/positions").json()["stored"]) == 1
    refused(other.ask("GET", "/v1/receipts/laptop/e1"), 403, "'laptop-2' may not see")
    refused(other.ask("GET", "/v1/digests/laptop/e1/1"), 403, "'laptop-2' may not see")
    assert other.ask("GET", "/v1/receipts").json()["receipts"] == []
    assert len(laptop.ask("GET", "/v1/receipts").json()["receipts"]) == 1
    assert len(relay.ask("GET", "/v1/receipts").json()["receipts"]) == 1


def test_an_answer_is_kept_back_until_a_batch_is_applied(at: At) -> None:
    laptop = at.enrolled().log_in()
    laptop.put(*laptop.maker.seal())
    answer = laptop.ask("GET", "/v1/receipts/laptop/e1", params={"wait": 20})
    assert answer.elapsed.total_seconds() < 10
    assert at.side.rows("select code from subject") == [("s1",)]
    refused(laptop.ask("GET", "/v1/receipts/laptop/e1", params={"wait": "long"}), 400, "number")


def test_answers_over_a_kept_connection_leave_at_once(at: At) -> None:
    stranger = Stranger(at.served, Maker("laptop"))
    assert stranger.ask("GET", "/v1/health").status_code == 200
    (connection,) = at.served.server.server_state.connections
    line = connection.transport.get_extra_info("socket")
    assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
