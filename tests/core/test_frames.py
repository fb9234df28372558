"""Frames: what is written is read back however it is cut, and whatever is done to the bytes, nothing else is read."""

import io
import tracemalloc
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import frames, wire
from cdc_sync.core.limits import CARRIED, Limits
from cdc_sync.core.wire import Sealed
from cdc_sync.errors import CdcSyncError, RejectedBatch, TooLarge
from tests.batches import Maker
from tests.core.test_wire import flipped

Batch = tuple[Sealed, list[bytes]]
MAKER = Maker("laptop", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
BATCHES: list[Batch] = [MAKER.seal(["s1"]), MAKER.seal(["s2", "s3", "x" * 300]), MAKER.seal(["s4", "s5"])]
FRAMES = [b"".join(frames.write(*batch)) for batch in BATCHES]
STREAM = b"".join(FRAMES)
places = st.integers(0, len(STREAM))


def batches(data: bytes, limits: Limits = CARRIED) -> list[Batch]:
    return [(frame.sealed, list(frame.parts)) for frame in frames.read_all(io.BytesIO(data).read, limits)]


def one(data: bytes) -> Batch:
    frame = frames.read_one(io.BytesIO(data).read)
    return frame.sealed, list(frame.parts)


def test_frames_are_read_back_one_after_the_other() -> None:
    assert batches(STREAM) == BATCHES
    assert batches(b"") == []


def test_a_frame_is_as_long_as_it_says_beforehand() -> None:
    for (sealed, _), data in zip(BATCHES, FRAMES, strict=True):
        assert frames.size(sealed, wire.decode_header(sealed.header)) == len(data)


@given(st.lists(st.integers(0, 700)))
def test_frames_are_read_back_however_they_are_cut(cuts: list[int]) -> None:
    rest, chunks = STREAM, list[bytes]()
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    read = frames.chunked([*chunks, rest])
    assert [(frame.sealed, list(frame.parts)) for frame in frames.read_all(read)] == BATCHES


def test_parts_that_nobody_reads_are_passed_over_and_checked() -> None:
    assert [frame.sealed for frame in frames.read_all(io.BytesIO(STREAM).read)] == [sealed for sealed, _ in BATCHES]
    with pytest.raises(RejectedBatch, match="digest"):
        list(frames.read_all(io.BytesIO(STREAM[:-1] + bytes([STREAM[-1] ^ 1])).read))


def refused_or_equal(data: bytes) -> None:
    try:
        found = batches(data)
    except RejectedBatch:
        return
    assert all(batch in BATCHES for batch in found)


@given(st.integers(0, 2**20))
def test_a_flipped_bit_is_refused(bit: int) -> None:
    with pytest.raises(RejectedBatch):
        batches(flipped(STREAM, bit))


@given(places, places, st.binary(max_size=12))
def test_bytes_that_were_put_in_taken_out_or_replaced_are_refused(start: int, end: int, instead: bytes) -> None:
    refused_or_equal(STREAM[:start] + instead + STREAM[end:])


@given(st.lists(st.tuples(places, places), max_size=6))
def test_pieces_in_another_order_are_refused(pieces: list[tuple[int, int]]) -> None:
    refused_or_equal(b"".join(STREAM[start:end] for start, end in pieces))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    if data:
        with pytest.raises(RejectedBatch):
            batches(data)


def crafted(*items: object) -> bytes:
    head = wire.pack(list(items))
    return len(head).to_bytes(4, "big") + head


@pytest.mark.parametrize(
    "data",
    [
        crafted(),
        crafted(b"", b"", b""),
        crafted("a", "b", "c"),
        crafted(b"\x80", b"s" * 64, b"k" * 32),
        crafted(BATCHES[0][0].header, b"s" * 64, b"k" * 31),
        crafted(BATCHES[0][0].header, BATCHES[0][0].signature, b""),
        crafted(BATCHES[0][0].header, BATCHES[1][0].signature, MAKER.public),
        crafted(BATCHES[0][0].header, BATCHES[0][0].signature, MAKER.public, 1),
        crafted([[[[[[]]]]]]),
    ],
)
def test_a_head_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedBatch):
        batches(data)


@given(st.integers(0, len(FRAMES[1]) - 1))
def test_a_single_batch_that_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(RejectedBatch):
        one(FRAMES[1][:end])


def test_a_single_batch_comes_alone() -> None:
    assert one(FRAMES[1]) == BATCHES[1]
    for more in (b"\0", FRAMES[2]):
        with pytest.raises(RejectedBatch, match="more bytes"):
            one(FRAMES[1] + more)


@pytest.mark.parametrize("limits", [Limits(header=100), Limits(parts=2), Limits(part=20), Limits(batch=100)], ids=str)
def test_what_is_too_large_is_refused_before_its_parts_are_read(limits: Limits) -> None:
    read = io.BytesIO(FRAMES[1])
    with pytest.raises(TooLarge):
        frames.read_one(read.read, limits)
    assert read.tell() <= len(FRAMES[1]) - sum(map(len, BATCHES[1][1]))


def test_a_head_without_end_is_refused_before_it_is_read() -> None:
    read = io.BytesIO(b"\xff\xff\xff\xff" + bytes(1000))
    with pytest.raises(TooLarge):
        frames.read_one(read.read)
    assert read.tell() == 4


def test_a_length_that_lies_costs_no_memory() -> None:
    data = (CARRIED.header).to_bytes(4, "big") + bytes(1000)
    tracemalloc.start()
    try:
        with pytest.raises(CdcSyncError, match="ends before its end"):
            batches(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_another_node_that_signs_is_not_told_apart_here_but_a_forged_signature_is() -> None:
    sealed, parts = BATCHES[0]
    own = replace(MAKER, key=Ed25519PrivateKey.from_private_bytes(b"o" * 32), number=0, digest=b"")
    assert one(b"".join(frames.write(*own.seal(["s1"]))))[0].public_key == own.public
    with pytest.raises(RejectedBatch, match="changed after it was signed"):
        one(b"".join(frames.write(replace(sealed, public_key=own.public), parts)))
