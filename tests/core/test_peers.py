"""What is asked of other nodes: codes that people type, enrolments that nobody in between can use, and grants."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import device, peers, spoken
from cdc_sync.core.peers import Application, Code, Peer
from cdc_sync.core.wire import Section
from cdc_sync.errors import ConfigError, Forbidden
from tests.core.test_wire import HEADER, flipped

LAPTOP, SERVER, OTHER = (Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"l", b"s", b"o"))
SERVER_KEY = device.public_of(SERVER)
values = st.integers(0, 2**170 - 1)
bits = st.integers(0, 2**20)


@given(values, st.integers(1, 8))
def test_a_number_is_read_back_however_it_is_grouped_and_typed(value: int, group: int) -> None:
    text = spoken.write(value, 34, group)
    assert spoken.read(text, 34) == value
    assert spoken.read(text.lower().replace("-", " ").replace("0", "o").replace("1", "l"), 34) == value


@given(values, st.integers(0, 34), st.sampled_from(spoken.ALPHABET))
def test_every_wrong_symbol_is_found(value: int, place: int, symbol: str) -> None:
    text = spoken.write(spoken.with_check(value), 35, 35)
    slipped = text[:place] + symbol + text[place + 1 :]
    if slipped == text:
        assert spoken.without_check(spoken.read(slipped, 35)) == value
        return
    with pytest.raises(ConfigError, match="slip"):
        spoken.without_check(spoken.read(slipped, 35))


@given(values, st.integers(0, 33))
def test_every_two_neighbours_that_changed_places_are_found(value: int, place: int) -> None:
    text = spoken.write(spoken.with_check(value), 35, 35)
    slipped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if slipped != text:
        with pytest.raises(ConfigError, match="slip"):
            spoken.without_check(spoken.read(slipped, 35))


@given(st.text(max_size=50))
def test_no_text_breaks_the_reader_of_codes(text: str) -> None:
    with pytest.raises(ConfigError):
        Code.read(text)


def test_a_code_is_read_back_and_is_another_every_time() -> None:
    code = Code.new(SERVER_KEY)
    assert Code.read(str(code)) == code
    assert str(code) != str(Code.new(SERVER_KEY))
    assert not set(str(code)) & set("ILOU")
    assert len(code.secret) * 8 == 80
    assert code.secret.hex() not in repr(code)


def test_a_node_enrols_with_its_code() -> None:
    code = Code.new(SERVER_KEY)
    application = peers.apply_for(LAPTOP, "laptop", Code.read(str(code)), SERVER_KEY)
    assert peers.secret_of(SERVER, application) == code.secret
    peers.check_confirmed("server", SERVER_KEY, application, peers.confirm(SERVER, "server", application))


def test_nothing_is_told_to_another_server() -> None:
    with pytest.raises(Forbidden, match="not the server that gave out") as caught:
        peers.apply_for(LAPTOP, "laptop", Code.new(SERVER_KEY), device.public_of(OTHER))
    assert "--show" in caught.value.hint


@given(bits)
def test_an_application_that_was_changed_on_its_way_is_refused(bit: int) -> None:
    code = Code.new(SERVER_KEY)
    application = peers.apply_for(LAPTOP, "laptop", code, SERVER_KEY)
    changed = (
        replace(application, name="laptop-2"),
        replace(application, sealed=flipped(application.sealed, bit)),
        replace(application, sealed=application.sealed[: bit % len(application.sealed)]),
        replace(application, public_key=flipped(application.public_key, bit)),
        replace(application, public_key=device.public_of(OTHER)),
        replace(application, public_key=application.public_key[: bit % 32]),
    )
    for other in changed:
        with pytest.raises(Forbidden):
            peers.secret_of(SERVER, other)


def test_an_application_is_of_no_use_to_another_server() -> None:
    application = peers.apply_for(LAPTOP, "laptop", Code.new(SERVER_KEY), SERVER_KEY)
    with pytest.raises(Forbidden, match="not made with this server's code"):
        peers.secret_of(OTHER, application)


def test_who_has_no_key_cannot_enrol_under_it() -> None:
    code = Code.new(SERVER_KEY)
    stolen = peers.apply_for(OTHER, "laptop", code, SERVER_KEY)
    with pytest.raises(Forbidden):
        peers.secret_of(SERVER, replace(stolen, public_key=device.public_of(LAPTOP)))


@pytest.mark.parametrize("answer", ["key", "name", "application", "nothing"])
def test_a_confirmation_by_or_for_somebody_else_is_refused(answer: str) -> None:
    application = Application(name="laptop", public_key=device.public_of(LAPTOP), sealed=b"")
    signature = {
        "key": peers.confirm(OTHER, "server", application),
        "name": peers.confirm(SERVER, "other", application),
        "application": peers.confirm(SERVER, "server", replace(application, name="laptop-2")),
        "nothing": b"",
    }[answer]
    with pytest.raises(Forbidden):
        peers.check_confirmed("server", SERVER_KEY, application, signature)


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_what_is_signed_says_one_thing_only(one: list[bytes], other: list[bytes]) -> None:
    assert (peers.message("a", *one) == peers.message("a", *other)) == (one == other)
    assert peers.message("a", *one) != peers.message("b", *one)


@pytest.mark.parametrize(
    ("texts", "grants"),
    [
        ([], None),
        (["subject"], {"subject": ("insert", "update", "delete")}),
        (["clinic.visit:update,insert", "x:delete"], {"clinic.visit": ("insert", "update"), "x": ("delete",)}),
    ],
)
def test_grants_are_read_and_kept(texts: list[str], grants: peers.Grants | None) -> None:
    assert peers.read_grants(texts) == grants
    assert peers.decode_grants(peers.encode_grants(grants)) == grants
    assert peers.decode_grants(peers.encode_grants(peers.NOTHING)) == {}


@pytest.mark.parametrize("text", ["", ":insert", "x:", "x:insrt", "x:insert,"])
def test_what_is_no_grant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--table"):
        peers.read_grants([text])


GRANTED = {"subject": ("insert", "update")}


@pytest.mark.parametrize(
    ("table", "counts", "word"),
    [
        ("subject", {"I": 1, "U": 2, "K": 3}, ""),
        ("subject", {"I": 1, "D": 0}, ""),
        ("subject", {"I": 1, "D": 1}, "delete"),
        ("visit", {"I": 1}, "insert"),
        ("subject", {"?": 1}, "write"),
    ],
)
def test_a_batch_writes_what_its_origin_may_write(table: str, counts: dict[str, int], word: str) -> None:
    header = replace(HEADER, sections=(Section(table=table, counts=counts),))
    peers.check_grants(Peer(name="laptop", public_key=SERVER_KEY), header)
    granted = Peer(name="laptop", public_key=SERVER_KEY, grants=GRANTED)
    if not word:
        peers.check_grants(granted, header)
        return
    with pytest.raises(Forbidden, match=f"'laptop' may not {word} rows of table '{table}'"):
        peers.check_grants(granted, header)
    with pytest.raises(Forbidden):
        peers.check_grants(replace(granted, grants=peers.NOTHING), header)
