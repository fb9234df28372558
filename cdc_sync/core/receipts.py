"""Receipts: how far a chain has come at one node, in that node's own words, whoever carries them.

"Stored" and "applied" are different facts. A signed receipt is believed whoever brings it; a short code, which a person
reads over the telephone, is believed by the two nodes whose device keys make the secret behind it, and by nobody else.
"""

import hmac
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cdc_sync.core import device, spoken, wire
from cdc_sync.core.chain import Position
from cdc_sync.core.peers import message
from cdc_sync.errors import ConfigError, RejectedBatch, RejectedReceipt

VERSION = 1
_LARGEST = 4096
"""Bytes of an encoded receipt at most."""

_CODE_SYMBOLS = 8
_CODE = re.compile(r"(?P<number>[0-9]{1,18})[- ]+(?P<rest>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What ``giver`` says of one chain: batches ``stored`` and ``applied`` there up to and including these numbers.

    The digests are those of the batches of these numbers, empty for 0. ``given_at`` is ISO 8601, for people.
    """

    version: int
    giver: str
    origin: str
    epoch: str
    stored: int
    applied: int
    digest: bytes
    applied_digest: bytes
    given_at: str

    @property
    def position(self) -> Position:
        return Position(
            origin=self.origin, epoch=self.epoch, stored=self.stored, applied=self.applied, digest=self.digest
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A receipt as it travels: encoded, with its giver's Ed25519 signature and public key."""

    data: bytes
    signature: bytes
    public_key: bytes


def sign(receipt: Receipt, key: Ed25519PrivateKey) -> Signed:
    data = wire.pack(receipt)
    return Signed(data=data, signature=key.sign(message("receipt", data)), public_key=device.public_of(key))


def read(signed: Signed) -> Receipt:
    """What a receipt says, whoever wrote it. Raises RejectedReceipt for what is none of this version."""
    if len(signed.data) > _LARGEST:
        raise RejectedReceipt("a receipt is larger than any can be", hint=AGAIN)
    try:
        receipt = wire.unpack(signed.data, Receipt, "the receipt")
    except RejectedBatch as error:
        raise RejectedReceipt(str(error), hint=AGAIN) from error
    if receipt.version != VERSION:
        raise RejectedReceipt(
            f"a receipt is written in format {receipt.version}; this cdc-sync reads format {VERSION}",
            hint="upgrade cdc-sync on the older side",
        )
    if not (device.is_name(receipt.giver) and device.is_name(receipt.origin) and device.is_epoch(receipt.epoch)):
        raise RejectedReceipt("a receipt names no node or no chain", hint=AGAIN)
    digests = ((receipt.stored, receipt.digest), (receipt.applied, receipt.applied_digest))
    whole = all(len(digest) == (32 if number else 0) for number, digest in digests)
    if not (0 <= receipt.applied <= receipt.stored < 2**63 and whole):
        raise RejectedReceipt(f"a receipt of {receipt.giver!r} contradicts itself", hint=AGAIN)
    return receipt


AGAIN = "have the receipt given again"


def verify(signed: Signed, giver_key: bytes) -> Receipt:
    """What a receipt says. Raises RejectedReceipt unless it was signed with the giver's known key."""
    receipt = read(signed)
    if signed.public_key != giver_key:
        raise RejectedReceipt(
            f"a receipt that claims to come from {receipt.giver!r} is signed by another key",
            hint="ask its DBA for cdc-sync enroll --show there, and believe nobody who signs otherwise",
        )
    try:
        Ed25519PublicKey.from_public_bytes(giver_key).verify(signed.signature, message("receipt", signed.data))
    except (InvalidSignature, ValueError) as error:
        raise RejectedReceipt(f"a receipt of {receipt.giver!r} was changed after it was signed", hint=AGAIN) from error
    return receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One batch of a chain that is applied at ``giver``, and so are all before it; ``digest`` is that batch's."""

    giver: str
    origin: str
    epoch: str
    number: int
    digest: bytes


def code(secret: bytes, applied: Applied) -> str:
    """A receipt for the telephone: ``42-K7QF-2M9X``. ``secret`` is that of the two nodes (``device.shared_secret``)."""
    return f"{applied.number}-{spoken.write(_proof(secret, applied), _CODE_SYMBOLS, 4)}"


def read_code(text: str) -> tuple[int, int]:
    """The number of a batch, and the proof that it is applied. Raises ConfigError for what is no such code."""
    match = _CODE.fullmatch(text.strip())
    if match is None:
        raise ConfigError("that is no receipt", hint="type it as cdc-sync receipt --for prints it: 42-K7QF-2M9X")
    return int(match["number"]), spoken.read(match["rest"], _CODE_SYMBOLS)


def proves(proof: int, secret: bytes, applied: Applied) -> bool:
    """Whether it is the giver that says so."""
    return hmac.compare_digest(proof.to_bytes(5, "big"), _proof(secret, applied).to_bytes(5, "big"))


def _proof(secret: bytes, applied: Applied) -> int:
    fields = (applied.giver, applied.origin, applied.epoch, str(applied.number))
    about = message("receipt code", *(field.encode() for field in fields), applied.digest)
    return int.from_bytes(hmac.digest(secret, about, "sha256")[:5], "big")
