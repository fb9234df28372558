"""Receipts: believed from who signed them, and from nobody else; codes for the telephone fit two nodes only."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import chain, device, receipts, wire
from cdc_sync.core.receipts import Applied, Receipt, Signed
from cdc_sync.errors import ConfigError, RejectedReceipt
from tests.core.test_wire import HEADER, flipped

SERVER, LAPTOP, OTHER = (Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"s", b"l", b"o"))
KEY = device.public_of(SERVER)
RECEIPT = Receipt(
    version=receipts.VERSION,
    giver="server",
    origin="laptop",
    epoch="e1",
    stored=43,
    applied=42,
    digest=b"d" * 32,
    applied_digest=b"a" * 32,
    given_at="2026-01-01T00:00:00+00:00",
)
SIGNED = receipts.sign(RECEIPT, SERVER)
APPLIED = Applied(giver="server", origin="laptop", epoch="e1", number=42, digest=b"a" * 32)
SECRET = device.shared_secret(SERVER, device.public_of(LAPTOP))
bits = st.integers(0, 2**20)


def signed(data: bytes) -> Signed:
    """Anything, signed by the server."""
    return Signed(data=data, signature=SERVER.sign(receipts.message("receipt", data)), public_key=KEY)


def test_a_receipt_is_believed_under_its_givers_key() -> None:
    assert receipts.verify(SIGNED, KEY) == receipts.read(SIGNED) == RECEIPT
    assert RECEIPT.position.digest == b"d" * 32


@given(bits)
def test_a_flipped_bit_is_found(bit: int) -> None:
    for changed in (
        replace(SIGNED, data=flipped(SIGNED.data, bit)),
        replace(SIGNED, signature=flipped(SIGNED.signature, bit)),
        replace(SIGNED, public_key=flipped(SIGNED.public_key, bit)),
        replace(SIGNED, data=SIGNED.data[: bit % len(SIGNED.data)]),
        replace(SIGNED, signature=SIGNED.signature[: bit % 64]),
    ):
        with pytest.raises(RejectedReceipt):
            receipts.verify(changed, KEY)


def test_a_receipt_signed_by_somebody_else_is_refused() -> None:
    with pytest.raises(RejectedReceipt, match="claims to come from 'server' is signed by another key"):
        receipts.verify(receipts.sign(RECEIPT, OTHER), KEY)
    with pytest.raises(RejectedReceipt, match="changed after it was signed"):
        receipts.verify(replace(receipts.sign(RECEIPT, OTHER), public_key=KEY), KEY)


def test_the_signature_of_a_batch_is_none_of_a_receipt() -> None:
    sealed = chain.seal(HEADER, SERVER)
    with pytest.raises(RejectedReceipt):
        receipts.verify(Signed(data=sealed.header, signature=sealed.signature, public_key=KEY), KEY)
    data = wire.pack(RECEIPT)
    with pytest.raises(RejectedReceipt, match="changed"):
        receipts.verify(Signed(data=data, signature=SERVER.sign(data), public_key=KEY), KEY)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(RejectedReceipt):
        receipts.verify(signed(data), KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"applied": 44},
        {"applied": -1},
        {"stored": 2**63},
        {"digest": b""},
        {"applied_digest": b"a" * 31},
        {"stored": 0, "applied": 0},
    ],
    ids=str,
)
def test_a_receipt_that_contradicts_itself_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(RejectedReceipt, match="contradicts itself"):
        receipts.verify(receipts.sign(replace(RECEIPT, **changes), SERVER), KEY)


@pytest.mark.parametrize("changes", [{"giver": ""}, {"origin": "a\0"}, {"epoch": ""}, {"epoch": "x" * 65}], ids=str)
def test_a_receipt_of_nobody_or_nothing_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(RejectedReceipt, match="names no node or no chain"):
        receipts.verify(receipts.sign(replace(RECEIPT, **changes), SERVER), KEY)


def test_a_receipt_of_another_format_says_so() -> None:
    with pytest.raises(RejectedReceipt, match="format 2") as caught:
        receipts.verify(receipts.sign(replace(RECEIPT, version=2), SERVER), KEY)
    assert "upgrade" in caught.value.hint


def test_a_receipt_without_end_is_not_read() -> None:
    with pytest.raises(RejectedReceipt, match="larger"):
        receipts.verify(receipts.sign(replace(RECEIPT, given_at="x" * 5000), SERVER), KEY)


def test_a_code_that_was_read_over_the_telephone_proves_what_it_says() -> None:
    text = receipts.code(SECRET, APPLIED)
    assert text.startswith("42-")
    for typed in (text, text.lower(), f" {text.replace('-', ' ')} "):
        number, proof = receipts.read_code(typed)
        assert number == 42
        assert receipts.proves(proof, device.shared_secret(LAPTOP, KEY), APPLIED)


@pytest.mark.parametrize(
    "changes",
    [{"giver": "x"}, {"origin": "x"}, {"epoch": "e2"}, {"number": 43}, {"digest": b"b" * 32}],
    ids=str,
)
def test_a_code_proves_nothing_else(changes: dict[str, object]) -> None:
    _, proof = receipts.read_code(receipts.code(SECRET, APPLIED))
    assert not receipts.proves(proof, SECRET, replace(APPLIED, **changes))  # type: ignore[arg-type]
    assert not receipts.proves(proof, device.shared_secret(OTHER, KEY), APPLIED)


@given(st.integers(0, 2**40 - 1))
def test_no_other_proof_is_taken(proof: int) -> None:
    assert receipts.proves(proof, SECRET, APPLIED) == (proof == receipts.read_code(receipts.code(SECRET, APPLIED))[1])


@pytest.mark.parametrize(
    "text", ["", "42", "42-", "-K7QF-2M9X", "42-K7QF", "x-K7QF-2M9X", "42-K7QF-2M9X-2", "42-K7QF-2M9U"]
)
def test_what_is_no_code_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ConfigError, match="that is no"):
        receipts.read_code(text)


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader_of_codes(text: str) -> None:
    with pytest.raises(ConfigError):
        receipts.read_code(text)
