"""Who may have signed a batch, and which one may come next."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import chain, wire
from cdc_sync.core.chain import Position, Verdict, judge, recognise
from cdc_sync.core.wire import Header, Sealed
from cdc_sync.errors import RejectedBatch
from tests.core.test_wire import HEADER, flipped

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
SEALED = chain.seal(HEADER, KEY)
bits = st.integers(0, 2**20)


def at(stored: int, digest: bytes = b"") -> Position:
    return Position(origin="laptop", epoch="e1", stored=stored, digest=digest)


def batch(number: int, previous: bytes = b"") -> Header:
    return replace(HEADER, number=number, previous=previous)


def test_a_sealed_batch_is_accepted_under_its_own_key() -> None:
    chain.verify(SEALED, "laptop", PUBLIC)
    assert wire.decode_header(SEALED.header) == HEADER


@given(bits)
def test_a_flipped_bit_in_the_header_is_rejected(bit: int) -> None:
    with pytest.raises(RejectedBatch, match="'laptop' was changed after it was signed"):
        chain.verify(replace(SEALED, header=flipped(SEALED.header, bit)), "laptop", PUBLIC)


@given(bits)
def test_a_flipped_bit_in_the_signature_is_rejected(bit: int) -> None:
    with pytest.raises(RejectedBatch, match="changed after it was signed"):
        chain.verify(replace(SEALED, signature=flipped(SEALED.signature, bit)), "laptop", PUBLIC)


@given(bits)
def test_a_flipped_bit_in_the_public_key_is_rejected(bit: int) -> None:
    with pytest.raises(RejectedBatch, match="signed by another key"):
        chain.verify(replace(SEALED, public_key=flipped(PUBLIC, bit)), "laptop", PUBLIC)


@given(st.binary(max_size=80))
def test_no_other_signature_is_accepted(signature: bytes) -> None:
    with pytest.raises(RejectedBatch):
        chain.verify(replace(SEALED, signature=signature), "laptop", PUBLIC)


@pytest.mark.parametrize("key", [b"", b"k", b"k" * 33])
def test_a_key_that_is_none_is_rejected(key: bytes) -> None:
    with pytest.raises(RejectedBatch, match="changed after it was signed"):
        chain.verify(replace(SEALED, public_key=key), "laptop", key)


def test_another_nodes_key_is_told_apart_from_damage() -> None:
    other = chain.seal(HEADER, Ed25519PrivateKey.from_private_bytes(b"o" * 32))
    with pytest.raises(RejectedBatch, match="another key") as caught:
        chain.verify(other, "laptop", PUBLIC)
    assert "name of its own" in caught.value.hint


@given(st.integers(0, 5), st.integers(1, 8), st.booleans(), st.sampled_from([None, b"same", b"other"]))
def test_a_batch_is_stored_known_early_or_a_fork(stored: int, number: int, follows: bool, known: bytes | None) -> None:
    header = batch(number, b"last" if follows else b"else")
    forks = known == b"other" if number <= stored else number == stored + 1 and not follows
    if forks:
        with pytest.raises(RejectedBatch, match=f"'laptop' sends a batch {number} that differs"):
            judge(at(stored, b"last"), header, b"same", known)
        return
    wanted = Verdict.KNOWN if number <= stored else Verdict.STORE if number == stored + 1 else Verdict.GAP
    assert judge(at(stored, b"last"), header, b"same", known) is wanted


def test_the_first_batch_follows_nothing() -> None:
    assert judge(at(0), batch(1), b"d", None) is Verdict.STORE
    with pytest.raises(RejectedBatch):
        judge(at(0), batch(1, b"something"), b"d", None)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_a_whole_chain_is_stored_in_order_and_known_when_sent_again(times: list[int]) -> None:
    here, sent = at(0), list[tuple[Header, Sealed]]()
    for number, time in enumerate(times, 1):
        header = replace(batch(number, here.digest), sealed_at=str(time))
        sealed = chain.seal(header, KEY)
        assert judge(here, header, sealed.digest, None) is Verdict.STORE
        here = replace(here, stored=number, digest=sealed.digest)
        sent.append((header, sealed))
    for header, sealed in sent:
        assert judge(here, header, sealed.digest, sealed.digest) is Verdict.KNOWN


def test_a_restored_copy_that_goes_on_is_a_fork_with_a_way_out() -> None:
    with pytest.raises(RejectedBatch) as caught:
        judge(at(3, b"mine"), batch(4, b"of the copy"), b"d", None)
    assert "cdc-sync rejoin" in caught.value.hint


def digest_of(number: int, chain: str = "own") -> bytes:
    return f"{chain} {number}".encode() if number else b""


def held_from(number: int, oldest: int, newest: int) -> tuple[Header, bytes] | None:
    """The oldest batch from that number on, of an outbox that holds ``oldest`` to ``newest``."""
    first = max(number, oldest)
    return (batch(first, digest_of(first - 1)), digest_of(first)) if first <= newest else None


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.booleans())
def test_a_destination_that_holds_a_batch_of_another_chain_is_a_fork(
    stored: int, newest: int, released: int, own: bool
) -> None:
    """As far as this database can tell: released batches are unknown, but for the one before the oldest held."""
    oldest = max(1, min(released + 1, newest))
    there = at(stored, digest_of(stored, "own" if own else "other"))
    held = held_from(stored, oldest, newest)
    if stored > newest or (not own and stored >= max(oldest - 1, 1)):
        with pytest.raises(RejectedBatch, match=f"'server' holds a batch {stored} of node 'laptop'") as caught:
            recognise("server", there, held)
        assert "cdc-sync rejoin" in caught.value.hint
    else:
        recognise("server", there, held)


def test_a_destination_that_holds_nothing_is_no_fork() -> None:
    recognise("new", at(0), None)
    recognise("new", at(0), (batch(1), digest_of(1)))
    recognise("new", at(0), (batch(5, digest_of(4)), digest_of(5)))
