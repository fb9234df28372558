"""Device keys as texts, fingerprints and shared secrets, held against what OpenSSH and the other curve make of them."""

import base64
import hashlib
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync import identity
from cdc_sync.core import device
from cdc_sync.errors import ConfigError

seeds = st.binary(min_size=32, max_size=32)
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)


@given(seeds)
def test_a_public_key_is_read_back_from_its_text_whatever_stands_after_it(seed: bytes) -> None:
    public = device.public_of(Ed25519PrivateKey.from_private_bytes(seed))
    assert device.read(device.text(public, "laptop-07")) == public
    assert device.read(f"  {device.text(public)} a comment of three words \n") == public


def test_the_fingerprint_is_that_of_openssh() -> None:
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    packed = base64.b64decode(public.split()[1])
    written = base64.b64encode(hashlib.sha256(packed).digest()).decode().rstrip("=")
    assert device.fingerprint(device.read(public)) == f"SHA256:{written}"
    assert device.fingerprint(device.read(public)) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


RSA = generate_private_key(65537, 2048).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@pytest.mark.parametrize("text", ["", "x", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 é", RSA, "\0"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="that") as caught:
        device.read(text)
    assert "ssh-ed25519" in caught.value.hint


@given(st.text(max_size=90))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(ConfigError):
        device.read(text)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_under_which_anybody_can_sign_is_refused(point: str) -> None:
    with pytest.raises(ConfigError):
        device.read(device.text(bytes.fromhex(point)))


@given(seeds, seeds)
def test_two_devices_find_the_same_secret_and_no_third_one_does(one: bytes, other: bytes) -> None:
    first, second = map(Ed25519PrivateKey.from_private_bytes, (one, other))
    secret = device.shared_secret(first, device.public_of(second))
    assert secret == device.shared_secret(second, device.public_of(first))
    if one != other:
        assert secret != device.shared_secret(KEY, device.public_of(second)) or one == b"k" * 32


@given(seeds)
def test_the_public_key_on_the_other_curve_is_that_of_the_private_one(seed: bytes) -> None:
    """RFC 7748, 4.1, and RFC 8032, 5.1.5: the scalar is the first half of the seed's SHA-512."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    other = X25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest())
    assert device.agree(other, device.public_of(key)) == other.exchange(scalar.public_key())


@pytest.mark.parametrize("name", ["a", "laptop-07", "A.b_c", "x" * 63])
def test_names_of_nodes(name: str) -> None:
    assert device.is_name(name)


@pytest.mark.parametrize("name", ["", ".", "../x", "-x", "a b", "a/b", "é", "a\n", "x" * 64])
def test_what_is_no_name_of_a_node(name: str) -> None:
    assert not device.is_name(name)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path, before = tmp_path / "server.key", os.umask(0)
    try:
        made = identity.load_or_create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert device.public_of(identity.load_or_create(path)) == device.public_of(made)


def test_a_file_that_is_no_key_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    path.write_text("x")
    with pytest.raises(ConfigError, match="not a readable device key"):
        identity.load_or_create(path)
    assert path.read_text() == "x"


def test_a_private_key_is_written_as_openssh_does() -> None:
    read = load_ssh_private_key(identity.private_text(KEY), None)
    assert isinstance(read, Ed25519PrivateKey)
    assert read.private_bytes_raw() == KEY.private_bytes_raw()
