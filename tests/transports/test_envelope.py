"""Envelopes: opened by one key and nobody else, and refused whatever was done to them."""

import io
import itertools
import tracemalloc
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given

from cdc_sync import identity
from cdc_sync.core import device, frames
from cdc_sync.errors import CdcSyncError, RejectedBundle
from cdc_sync.transports import envelope
from tests import packets
from tests.core.test_bundle import fuzzed, mutated

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"k", b"o"))
PUBLIC = device.public_of(KEY)
PLAIN = b"what nobody else reads" * 10
CLOSED = packets.closed(PLAIN, PUBLIC)


def test_an_envelope_is_opened_with_its_key_and_no_other() -> None:
    assert packets.opened(CLOSED, KEY) == PLAIN
    assert PLAIN[:10] not in CLOSED
    with pytest.raises(envelope.OtherKey) as caught:
        packets.opened(CLOSED, OTHER)
    assert caught.value.tag == envelope.tag(PUBLIC)
    assert device.fingerprint(PUBLIC).startswith(f"SHA256:{envelope.shown(caught.value.tag)}")


@pytest.mark.parametrize("length", [0, 10, 200, len(CLOSED) - 20, len(CLOSED) - 1], ids=["0", "10", "200", "-20", "-1"])
def test_a_truncated_envelope_is_refused(length: int) -> None:
    with pytest.raises(RejectedBundle, match=r"damaged") as caught:
        packets.opened(CLOSED[:length], KEY)
    assert caught.value.hint


def test_an_envelope_whose_head_has_no_end_is_refused_before_it_is_read() -> None:
    asked = 0

    def endless(most: int) -> bytes:
        nonlocal asked
        asked += most
        return (b"age-encryption.org/v1\n-> ssh-ed25519 " + b"A" * 100_000)[:most]

    with pytest.raises(RejectedBundle):
        envelope.open_with(identity.private_text(KEY), PUBLIC, endless, io.BytesIO().write)
    assert asked < 10_000


class _BrokenError(Exception):
    pass


def test_what_the_ends_raise_comes_out_as_it_was_raised() -> None:
    def broken(_: object) -> bytes:
        raise _BrokenError

    with pytest.raises(_BrokenError):
        envelope.close(PUBLIC, broken, io.BytesIO().write)
    with pytest.raises(_BrokenError):
        envelope.close(PUBLIC, io.BytesIO(PLAIN).read, broken)
    with pytest.raises(_BrokenError):
        envelope.open_with(identity.private_text(KEY), PUBLIC, broken, io.BytesIO().write)
    with pytest.raises(_BrokenError):
        envelope.open_with(identity.private_text(KEY), PUBLIC, io.BytesIO(CLOSED).read, broken)


def test_closing_and_opening_take_no_more_memory_for_more_bytes() -> None:
    size, piece, length = 50_000_000, b"x" * 8192, 0

    def write(data: bytes) -> None:
        nonlocal length
        length += len(data)

    tracemalloc.start()
    try:
        envelope.close(PUBLIC, frames.chunked(itertools.repeat(piece, size // len(piece))), write)
        assert size < length + len(piece) < size * 1.001
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@fuzzed
@given(mutated(CLOSED))
def test_mutated_envelopes_are_refused_or_opened_as_they_were(inputs: Iterator[bytes]) -> None:
    for data in inputs:
        try:
            assert packets.opened(data, KEY) == PLAIN
        except CdcSyncError as error:
            assert error.hint
            assert isinstance(error, RejectedBundle)
