"""The description at /openapi.json is true: whatever is asked by it, or against it, is answered as it says."""

import contextlib
from collections.abc import Callable

import pytest
import requests
import schemathesis
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cdc_sync.core.frames import write as framed
from cdc_sync.web.description import OPERATIONS
from cdc_sync.web.limits import Rate
from tests.transports.conftest import Start, Stranger
from tests.transports.test_hostile_clients import stored
from tests.transports.test_hostile_streams import spoken

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = max(4, settings().max_examples // 4)
"""Requests of each kind for each operation."""

MUTATED = settings().max_examples * 8
"""Batches that are not as they were signed."""


@pytest.fixture
def relay(start: Start) -> Stranger:
    """A node with a session, which may see everything; nobody counts its requests."""
    return uncounted(start.server(node="relay = true").enrolled("--relay", name="driver"))


def uncounted(stranger: Stranger) -> Stranger:
    app = stranger.served.server.app
    app.of_nodes = app.of_addresses = Rate(10**9)
    return stranger.log_in()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_request_is_answered_as_it_is_described(relay: Stranger, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{relay.served.url}/openapi.json")
    headers = {"authorization": f"Bearer {relay.token}"}
    asked = {("GET", "/openapi.json")}
    with requests.Session() as session:
        for found in schema.get_all_operations():
            operation = found.ok()

            @settings(max_examples=EXAMPLES)
            @given(operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                response = case.call(session=session, headers=headers)
                case.validate_response(response, checks=CHECKS)

            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong in a request that says nothing
                ask()
            asked.add((operation.method.upper(), operation.path))
    assert asked == set(OPERATIONS)


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """A body of which bytes were changed, lost, doubled or put in."""
    data = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        upto = min(len(data), at + draw(st.integers(1, 40)))
        match draw(st.sampled_from(["flip", "cut", "lose", "double", "put"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at:]
            case "lose":
                del data[at:upto]
            case "double":
                data[at:at] = data[at:upto]
            case _:
                data[at:at] = draw(st.binary(min_size=1, max_size=12))
    assume(data != body)
    return bytes(data)


def hurt(put: Callable[[bytes], int], body: bytes, holds: Callable[[int], bool]) -> None:
    @settings(max_examples=MUTATED)
    @given(mutated(body))
    def ask(data: bytes) -> None:
        status = put(data)
        assert status in (200, 400, 403, 409, 413), status
        assert holds(status)

    ask()


def test_a_batch_that_was_changed_on_its_way_is_refused(start: Start) -> None:
    at = start.server()
    laptop = uncounted(at.enrolled())
    sealed, parts = laptop.maker.seal(["s1", "s2"])

    def put(data: bytes) -> int:
        return laptop.ask("PUT", "/v1/batches/laptop/e1/1", data).status_code

    hurt(put, b"".join(framed(sealed, parts)), lambda status: status != 200 and stored(at) == 0)


def test_a_stream_that_was_changed_on_its_way_is_refused(start: Start) -> None:
    at = start.server("postgresql")
    laptop = uncounted(at.enrolled())
    messages = spoken(*laptop.maker.seal(["s1", "s2"]))

    def put(data: bytes) -> int:
        return laptop.ask("PUT", "/v1/stream/laptop/e1/1", data).status_code

    def is_signed(_: int) -> bool:
        """A change that means nothing, around what was signed, does no harm."""
        return bool(at.side.rows("select code from subject order by code") == [("s1",), ("s2",)] * stored(at))

    hurt(put, b"".join(messages), is_signed)
