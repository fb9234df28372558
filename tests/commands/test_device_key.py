"""The device key is its owner's alone, stands outside the database, and is never overwritten."""

import os
import stat

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.commands.conftest import Walk, run, state
from tests.nodes import install


def test_the_device_key_is_its_owners_and_stands_outside_the_database(walk: Walk) -> None:
    assert run("install-triggers", walk.config).exit_code == 0
    path = walk.config.key_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = load_pem_private_key(path.read_bytes(), password=None).private_bytes_raw()  # type: ignore[union-attr]
    values = repr(state(walk.source)).encode()
    assert repr(secret)[2:-1].encode() not in values
    assert secret.hex().encode() not in values
    assert path.read_bytes().splitlines()[1] not in values


def test_the_device_key_is_made_for_its_owner_whatever_the_umask(walk: Walk) -> None:
    before = os.umask(0)
    try:
        install(walk.config)
    finally:
        os.umask(before)
    assert stat.S_IMODE(walk.config.key_path.stat().st_mode) == 0o600


def test_the_device_key_is_never_overwritten(walk: Walk) -> None:
    install(walk.config)
    key = walk.config.key_path.read_bytes()
    assert run("install-triggers", walk.config).exit_code == 0
    assert run("uninstall-triggers", walk.config).exit_code == 0
    assert walk.config.key_path.read_bytes() == key
    assert run("install-triggers", walk.config).exit_code == 0
    assert walk.config.key_path.read_bytes() == key
