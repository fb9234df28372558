"""A batch as bytes: what is written can be read, and what was tampered with is rejected."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc_sync.core import wire
from cdc_sync.core.change import Field, Kind, Reference, Shape
from cdc_sync.core.wire import Header, Part, Section
from cdc_sync.errors import RejectedBatch

if wire.sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

names = st.text(min_size=1, max_size=8)
numbers = st.integers(0, 2**62)
columns = st.lists(names, max_size=3).map(tuple)
references = st.builds(Reference, columns=columns, table=names, target=columns)
shapes = st.builds(
    Shape,
    name=names,
    fields=st.lists(st.builds(Field, name=names, kind=st.sampled_from(Kind)), max_size=3).map(tuple),
    identity=columns,
    key=columns,
    references=st.lists(references, max_size=2).map(tuple),
)
parts = st.builds(
    Part,
    table=names,
    rows=numbers,
    encoding=st.sampled_from(["copy", "rows"]),
    size=numbers,
    digest=st.binary(min_size=32, max_size=32),
)
sections = st.builds(Section, table=names, counts=st.dictionaries(st.sampled_from("IUDK"), numbers))
headers = st.builds(
    Header,
    version=st.just(wire.VERSION),
    node=names,
    epoch=names,
    number=st.integers(1, 2**62),
    previous=st.binary(max_size=32),
    sealed_at=names,
    fingerprint=st.binary(max_size=32),
    shapes=st.lists(shapes, max_size=2).map(tuple),
    sections=st.lists(sections, max_size=2).map(tuple),
    parts=st.lists(parts, max_size=2).map(tuple),
)
values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)
rows = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(values, min_size=width, max_size=width), max_size=5))

HEADER = Header(
    version=wire.VERSION,
    node="laptop",
    epoch="e1",
    number=1,
    previous=b"",
    sealed_at="2026-01-01T00:00:00+00:00",
    fingerprint=b"f" * 32,
    shapes=(Shape(name="subject", fields=(Field(name="code", kind=Kind.TEXT),), identity=("code",), key=("code",)),),
    sections=(Section(table="subject", counts={"I": 1}),),
    parts=(Part(table="subject", rows=1, encoding="rows", size=10, digest=b"d" * 32),),
)


def flipped(data: bytes, bit: int) -> bytes:
    """The bytes with one bit turned over."""
    place, mask = divmod(bit % (len(data) * 8), 8)
    return data[:place] + bytes([data[place] ^ (1 << mask)]) + data[place + 1 :]


def part_of(packed: bytes) -> Part:
    """What an honest header says of these bytes, whatever they are."""
    return Part(table="t", rows=1, encoding="rows", size=len(packed), digest=hashlib.sha256(packed).digest())


@given(headers)
def test_a_header_reads_back_as_it_was_written(header: Header) -> None:
    assert wire.decode_header(wire.encode_header(header)) == header


@given(shapes)
def test_a_shape_reads_back_as_it_was_written(shape: Shape) -> None:
    assert wire.decode_shape(wire.encode_shape(shape)) == shape


@given(st.lists(shapes, max_size=2), st.lists(shapes, max_size=2))
def test_fingerprints_are_equal_when_the_shapes_are(some: list[Shape], others: list[Shape]) -> None:
    assert (wire.fingerprint(some) == wire.fingerprint(others)) == (some == others)


@given(rows)
def test_rows_read_back_as_they_were_packed(packed: list[list[Any]]) -> None:
    part, data = wire.pack_part("t", len(packed), "rows", wire.pack_rows(packed))
    assert wire.unpack_rows(wire.unpack_part(part, data)) == list(map(tuple, packed))


@given(st.integers(0, 2**20))
def test_a_flipped_bit_in_a_header_changes_its_digest(bit: int) -> None:
    data = wire.encode_header(HEADER)
    digests = {
        wire.Sealed(header=header, signature=b"", public_key=b"").digest for header in (data, flipped(data, bit))
    }
    assert len(digests) == 2


@given(st.integers(0, len(wire.encode_header(HEADER)) - 1))
def test_a_header_cut_short_is_rejected(length: int) -> None:
    with pytest.raises(RejectedBatch, match="damaged"):
        wire.decode_header(wire.encode_header(HEADER)[:length])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_header_are_rejected(data: bytes) -> None:
    with pytest.raises(RejectedBatch):
        wire.decode_header(data)


def test_a_header_whose_text_is_no_utf8_is_rejected() -> None:
    with pytest.raises(RejectedBatch):
        wire.decode_header(wire.encode_header(HEADER).replace(b"laptop", b"lap\x80op"))


def test_a_header_nested_without_end_is_rejected() -> None:
    with pytest.raises(RejectedBatch):
        wire.decode_header(b"\x81\xa7unknown" + b"\x91" * 1_000_000)


def test_another_version_is_named() -> None:
    with pytest.raises(RejectedBatch, match=r"format 7; this cdc-sync reads format 1") as caught:
        wire.decode_header(wire.encode_header(replace(HEADER, version=7)))
    assert "upgrade" in caught.value.hint


@given(st.binary(max_size=100), st.integers(0, 2**20))
def test_a_flipped_bit_in_a_part_is_rejected(data: bytes, bit: int) -> None:
    part, packed = wire.pack_part("t", 1, "copy", data)
    with pytest.raises(RejectedBatch, match="digest"):
        wire.unpack_part(part, flipped(packed, bit))


@given(st.binary(max_size=100), st.data())
def test_a_part_cut_short_is_rejected(data: bytes, drawn: st.DataObject) -> None:
    part, packed = wire.pack_part("t", 1, "copy", data)
    with pytest.raises(RejectedBatch):
        wire.check_part(part, packed[: drawn.draw(st.integers(0, len(packed) - 1))])


def test_a_part_that_unpacks_to_too_much_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    part, packed = wire.pack_part("t", 1, "copy", b"x" * 2000)
    monkeypatch.setattr(wire, "LARGEST_PART", 1000)
    with pytest.raises(RejectedBatch, match="more than 1000 bytes"):
        wire.unpack_part(part, packed)


def test_a_part_as_large_as_allowed_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    part, packed = wire.pack_part("t", 1, "copy", b"x" * 1000)
    monkeypatch.setattr(wire, "LARGEST_PART", 1000)
    assert wire.unpack_part(part, packed) == b"x" * 1000


@pytest.mark.parametrize("packed", [b"", b"no zstd", zstd.compress(b"x" * 1000)[:-5]], ids=["empty", "garbage", "cut"])
def test_a_part_that_was_damaged_before_it_was_signed_is_rejected(packed: bytes) -> None:
    with pytest.raises(RejectedBatch):
        wire.unpack_part(part_of(packed), packed)


@given(st.binary(max_size=60))
@example(b"\x91\x91\xa1\x80")
def test_bytes_that_are_no_rows_are_rejected_or_read_as_rows(data: bytes) -> None:
    try:
        assert all(isinstance(row, tuple) for row in wire.unpack_rows(data))
    except RejectedBatch as error:
        assert error.hint


@pytest.mark.parametrize(
    ("counts", "keyed"), [({"I": 3, "U": 1}, False), ({"D": 1}, True), ({"K": 1}, True), ({}, False)]
)
def test_deletes_and_key_changes_make_a_section_keyed(counts: dict[str, int], keyed: bool) -> None:
    assert Section(table="t", counts=counts).keyed is keyed


LINES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(st.binary(max_size=3), min_size=width, max_size=width), min_size=1, max_size=6)
)


@given(LINES)
def test_lines_are_turned_and_turned_back(values: list[list[bytes]]) -> None:
    cleaned = [[value.replace(b"\t", b"").replace(b"\n", b"") for value in line] for line in values]
    data = b"".join(b"\t".join(line) + b"\n" for line in cleaned)
    part, packed = wire.pack_part("t", len(values), "copy", data, tightly=True)
    assert part.turned == len(values[0]) - 1
    assert wire.unpack_part(part, packed) == data


@given(st.binary(max_size=60), st.integers(-3, 2**40))
def test_turned_lines_that_nobody_turned_are_rejected_or_as_long_as_before(data: bytes, width: int) -> None:
    try:
        assert len(wire.turn_back(data, width)) == len(data)
    except RejectedBatch as error:
        assert error.hint


def test_what_is_too_large_to_be_turned_is_left_as_it_is() -> None:
    data = b"1\t2\n" * (wire.TURNED // 4 + 1)
    assert wire.turn(data) == (0, data)
    with pytest.raises(RejectedBatch):
        wire.turn_back(data, 1)
