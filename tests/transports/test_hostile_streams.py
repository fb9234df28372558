"""Batches that come while they are sealed: applied in the end, whole and as they were signed, or nothing of them is."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync.core import flow, wire
from cdc_sync.core.chain import Position
from cdc_sync.core.flow import Begin, Message
from cdc_sync.core.wire import Sealed
from cdc_sync.web import limits
from cdc_sync.web.limits import Pace
from tests.commands.conftest import eventually
from tests.transports.conftest import Start, refused
from tests.transports.test_hostile_clients import answered, raw


class Streamed:
    """A stream to a PostgreSQL server, made by hand."""

    def __init__(self, start: Start) -> None:
        self.at = start.server("postgresql")
        self.laptop = self.at.enrolled().log_in()

    def put(self, *messages: bytes, path: str = "laptop/e1/1") -> tuple[int, dict[str, str]]:
        answer = self.laptop.ask("PUT", f"/v1/stream/{path}", b"".join(messages))
        return answer.status_code, answer.json()

    def rows(self) -> int:
        return int(self.at.side.rows("select count(*) from subject")[0][0])


def said(message: Message, data: bytes = b"") -> bytes:
    return b"".join(flow.write(message, data))


def spoken(sealed: Sealed, parts: list[bytes], **changes: object) -> list[bytes]:
    """A batch as it streams; ``changes`` to where it follows."""
    header = wire.decode_header(sealed.header)
    after = Position(
        origin=header.node,
        epoch=header.epoch,
        stored=header.number - 1,
        applied=header.number - 1,
        digest=header.previous,
    )
    begin = Begin(after=replace(after, **changes), shapes=header.shapes, sections=header.sections)
    return [
        said(Message(begin=begin)),
        *(said(Message(part=part), data) for part, data in zip(header.parts, parts, strict=True)),
        said(Message(complete=True)),
        said(Message(sealed=sealed)),
    ]


def test_a_stream_is_applied_in_the_end_and_only_then(start: Start) -> None:
    streamed = Streamed(start)
    batch = streamed.laptop.maker.seal(["s1", "s2"])
    messages = spoken(*batch)
    for cut in range(len(messages)):
        status, told = streamed.put(*messages[:cut])
        assert status == 409, told
        assert streamed.rows() == 0
    assert streamed.put(*messages) == (200, {"verdict": "applied"})
    assert streamed.rows() == 2
    assert streamed.put(*messages)[0] == 409
    assert streamed.laptop.put(*batch).json() == {"verdict": "known"}


def test_a_stream_of_other_rows_than_were_signed_leaves_nothing(start: Start) -> None:
    streamed = Streamed(start)
    maker = streamed.laptop.maker
    signed, other = spoken(*replace(maker).seal(["s1"])), spoken(*replace(maker).seal(["s2"]))
    more = spoken(*replace(maker).seal(["s1", "s2"]))
    other_table = spoken(*replace(maker).seal(["s1"], table="visit"))
    thief = spoken(*replace(maker, key=Ed25519PrivateKey.generate()).seal(["s1"]))
    for messages in (
        [*other[:-1], signed[-1]],
        [*more[:-1], signed[-1]],
        [*signed[:-1], more[-1]],
        [signed[0], *signed[2:]],
        [other_table[0], *signed[1:]],
        [*signed[:-1], thief[-1]],
        thief,
        [*signed, signed[1]],
        [*signed, b"\0"],
        [signed[0], signed[0], *signed[1:]],
        signed[1:],
    ):
        status, told = streamed.put(*messages)
        assert (status in (403, 409), streamed.rows()) == (True, 0), told
    assert streamed.put(*signed)[0] == 200


def test_a_stream_of_somebody_else_is_refused(start: Start) -> None:
    streamed = Streamed(start)
    relay = streamed.at.enrolled("--relay", name="driver").log_in()
    messages = spoken(*streamed.laptop.maker.seal())
    refused(relay.ask("PUT", "/v1/stream/laptop/e1/1", b"".join(messages)), 403, "only its origin")
    assert streamed.put(*messages, path="laptop/e1/2")[0] == 409
    assert streamed.rows() == 0


def test_a_zip_bomb_does_not_stream(start: Start) -> None:
    streamed = Streamed(start)
    status, told = streamed.put(*spoken(*streamed.laptop.maker.seal(["x" * 20_000_000])))
    assert status == 413
    assert "unpacks to more" in told["error"]


def test_a_stream_that_stops_lets_its_transaction_go(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAM", Pace(patience=0.5, slowest=1))
    streamed = Streamed(start)
    messages = spoken(*streamed.laptop.maker.seal())
    with raw(streamed.at, streamed.laptop, 10**6, "/v1/stream/laptop/e1/1") as line:
        line.sendall(b"".join(messages[:2]))
        assert answered(line).startswith(b"HTTP/1.1 408 ")
    idle = "select count(*) from pg_stat_activity where application_name = 'cdc-sync' and state like 'idle in%'"
    eventually(lambda: streamed.at.side.rows(idle) == [(0,)], "no transaction is left")
    assert streamed.put(*messages)[0] == 200


def test_a_server_that_does_not_apply_takes_no_streams(start: Start) -> None:
    at = start.server("postgresql", node="relay = true")
    laptop = at.enrolled().log_in()
    messages = spoken(*laptop.maker.seal())
    refused(laptop.ask("PUT", "/v1/stream/laptop/e1/1", b"".join(messages)), 409, "once they are sealed")
