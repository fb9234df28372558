"""The format of bundles: what is written is read back, and whatever is done to the bytes, nothing else is read."""

import io
import random
import resource
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_sync.core import bundle, frames, wire
from cdc_sync.core.bundle import Stretch
from cdc_sync.core.limits import CARRIED, Limits
from cdc_sync.errors import CdcSyncError, RejectedBundle, TooLarge
from tests import packets
from tests.batches import Maker
from tests.core.test_wire import flipped
from tests.packets import Batch

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
LAPTOP, OTHER = Maker("laptop", KEY), Maker("other", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
BATCHES: list[Batch] = [LAPTOP.seal(["s1"]), LAPTOP.seal(["s2", "x" * 300]), OTHER.seal(["s3"])]
SERVER = b"s" * 32
PLAIN = packets.made(LAPTOP, SERVER, BATCHES)


def read(data: bytes, limits: Limits = CARRIED) -> list[Batch]:
    opened = bundle.read(io.BytesIO(data).read, limits)
    return [(frame.sealed, list(frame.parts)) for frame in opened.frames]


def refused(data: bytes, match: str) -> CdcSyncError:
    with pytest.raises(RejectedBundle, match=match) as caught:
        read(data)
    assert caught.value.hint
    return caught.value


def test_a_bundle_is_read_back() -> None:
    assert read(PLAIN) == BATCHES
    opened = bundle.read(io.BytesIO(PLAIN).read)
    assert opened.manifest == packets.manifest("laptop", SERVER, BATCHES)
    assert opened.public_key == LAPTOP.public


def test_how_long_the_head_is_is_known_from_the_beginning() -> None:
    assert PLAIN[bundle.head_size(PLAIN[: bundle.BEGINNING]) :] == b"".join(b"".join(frames.write(*b)) for b in BATCHES)
    assert bundle.head_size(b"") == bundle.BEGINNING


@given(st.integers(0, len(PLAIN) - 1))
def test_a_truncated_bundle_is_refused(length: int) -> None:
    refused(PLAIN[:length], "ends before")


@given(st.integers(0, 2**20))
def test_a_bundle_with_a_flipped_bit_is_refused(bit: int) -> None:
    with pytest.raises((RejectedBundle, TooLarge)):
        read(flipped(PLAIN, bit))


def test_a_reordered_bundle_is_refused() -> None:
    of = packets.manifest("laptop", SERVER, BATCHES)
    refused(packets.plain(of, KEY, [BATCHES[1], BATCHES[0], BATCHES[2]]), "another batch where batch 1")


def test_a_bundle_with_less_or_more_in_it_than_its_manifest_says_is_refused() -> None:
    of = packets.manifest("laptop", SERVER, BATCHES[:2])
    refused(packets.plain(of, KEY, BATCHES[:1]), "ends before")
    refused(packets.plain(of, KEY, BATCHES), "more or less")
    refused(packets.plain(replace(of, size=of.size + 1), KEY, BATCHES[:2]), "more or less")
    refused(packets.plain(replace(of, size=0), KEY, BATCHES[:2]), "more or less")


def test_batches_that_do_not_follow_each_other_are_refused() -> None:
    first, *_ = packets.stretches(BATCHES[1:2])
    of = replace(packets.manifest("laptop", SERVER, BATCHES[1:2]), stretches=(replace(first, previous=b"p" * 32),))
    refused(packets.plain(of, KEY, BATCHES[1:2]), "does not follow")


def test_a_manifest_that_somebody_else_signed_under_the_same_key_is_refused() -> None:
    line, head = len(b"cdc-sync bundle 1\n"), wire.unpack(PLAIN[22 : bundle.head_size(PLAIN)], list[bytes], "head")
    again = packets.signed(head[0], OTHER.key)
    forged = wire.pack([head[0], wire.unpack(again[line + 4 :], list[bytes], "head")[1], head[2]])
    refused(PLAIN[:line] + len(forged).to_bytes(4, "big") + forged, "changed after it was signed")


def test_another_version_is_named() -> None:
    error = refused(PLAIN.replace(b"bundle 1\n", b"bundle 2\n"), "format 2; this cdc-sync reads format 1")
    assert "upgrade" in error.hint
    refused(PLAIN.replace(b"bundle 1\n", b"bundle 123456\n"), "no bundle")
    refused(PLAIN.replace(b"cdc-sync", b"some-one"), "no bundle")
    refused(b"", "ends before")


ODD: dict[str, dict[str, Any]] = {
    "giver": {"giver": "../x"},
    "receiver": {"receiver": ""},
    "key": {"receiver_key": b"short"},
    "size": {"size": -1},
    "huge": {"size": 2**63},
}
STRETCH = Stretch(origin="laptop", epoch="e1", after=0, previous=b"", digests=b"d" * 32)
ODD |= {
    "twice": {"stretches": (STRETCH, STRETCH)},
    "nameless": {"stretches": (replace(STRETCH, origin=""),)},
    "epochless": {"stretches": (replace(STRETCH, epoch=""),)},
    "nothing": {"stretches": (replace(STRETCH, digests=b""),)},
    "uneven": {"stretches": (replace(STRETCH, digests=b"d" * 33),)},
    "before": {"stretches": (replace(STRETCH, after=-1),)},
    "rootless": {"stretches": (replace(STRETCH, after=1),)},
    "rooted": {"stretches": (replace(STRETCH, previous=b"p" * 32),)},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_a_manifest_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    of = replace(packets.manifest("laptop", SERVER, []), **changes)
    refused(packets.plain(of, KEY, []), "contradicts itself")


@pytest.mark.parametrize("data", [b"", b"\xc1", wire.pack(["x"]), wire.pack({"giver": "laptop"}), b"\x91" * 100_000])
def test_what_is_signed_and_no_manifest_is_refused(data: bytes) -> None:
    refused(packets.signed(data, KEY), "damaged")


def test_a_manifest_larger_than_any_is_refused_before_it_is_read() -> None:
    asked = 0

    def endless(most: int) -> bytes:
        nonlocal asked
        asked += most
        return (b"cdc-sync bundle 1\n" + b"\x7f\xff\xff\xff")[asked - most : asked] or b"x" * most

    with pytest.raises(RejectedBundle, match="larger than any"):
        bundle.read(endless)
    assert asked < 100
    receipts = [packets.Signed(data=b"x" * 4000, signature=b"s" * 64, public_key=b"k" * 32)] * 1100
    with pytest.raises(TooLarge) as caught:
        b"".join(bundle.write(packets.manifest("laptop", SERVER, [], receipts), KEY, []))
    assert "folder" in caught.value.hint


def test_a_batch_beyond_the_limits_is_refused() -> None:
    for limits in (Limits(header=10), Limits(parts=1), Limits(part=10), Limits(batch=30)):
        with pytest.raises(TooLarge):
            read(PLAIN, limits)


# --- mutations

EACH = 25
MANY = 1_400 if settings.get_current_profile_name() == "deep" else 4
"""Examples of so many mutated inputs each, of three kinds: more than 100,000 in all under the deep profile."""

fuzzed = settings(max_examples=MANY)
MOST = 200 * 1024
"""KiB by which the process may grow while it reads them."""


@pytest.fixture(scope="module", autouse=True)
def bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + MOST


STREAM = b"".join(b"".join(frames.write(*batch)) for batch in BATCHES)
MEMORY = 40 * 1024 * 1024
"""Bytes that reading a few hundred may take at most."""


def mutated(data: bytes) -> st.SearchStrategy[Iterator[bytes]]:
    """So many mutations of the bytes as an example has, known by a seed: hypothesis takes longer than any reader."""
    return st.integers(0, 2**64).map(lambda seed: (_mutation(random.Random(f"{seed} {i}"), data) for i in range(EACH)))


def _mutation(chance: random.Random, data: bytes) -> bytes:
    """Some bytes put in, taken out, replaced, moved or doubled, up to four times."""
    for _ in range(chance.randint(1, 4)):
        start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        kind = chance.randint(0, 4)
        if kind == 0:
            data = data[:start] + chance.randbytes(chance.randint(0, 12)) + data[end:]
        elif kind == 1:
            data = data[:start] + chance.randbytes(chance.randint(1, 8)) + data[start:]
        elif kind == 2 and data:
            data = flipped(data, chance.randrange(len(data) * 8))
        elif kind == 3:
            data = data[:start] + data[end:] + data[start:end]
        else:
            data = data[:end] + data[start:]
    return data


def taken(data: bytes, expected: Sequence[Batch]) -> None:
    """Refused with a reason and a hint, or read as what was written."""
    try:
        assert read(data) == expected
    except CdcSyncError as error:
        assert error.hint
        assert isinstance(error, (RejectedBundle, TooLarge))


def resigned(data: bytes) -> bytes:
    """The mutated manifest in a bundle that is signed for it, so that it is read at all."""
    return packets.signed(data, KEY) + STREAM


MANIFEST = wire.pack(packets.manifest("laptop", SERVER, BATCHES))


@fuzzed
@given(mutated(PLAIN))
def test_mutated_bundles_are_refused_or_read_as_they_were(inputs: Iterator[bytes]) -> None:
    for data in inputs:
        taken(data, BATCHES)


@fuzzed
@given(mutated(MANIFEST))
def test_mutated_manifests_are_refused_or_say_what_is_there(inputs: Iterator[bytes]) -> None:
    for data in inputs:
        taken(resigned(data), BATCHES)


@fuzzed
@given(mutated(STREAM))
def test_mutated_frames_are_refused_or_read_as_they_were(inputs: Iterator[bytes]) -> None:
    for data in inputs:
        try:
            found = [(frame.sealed, list(frame.parts)) for frame in frames.read_all(io.BytesIO(data).read)]
        except CdcSyncError as error:
            assert error.hint
        else:
            assert all(batch in BATCHES for batch in found)


def test_reading_takes_no_more_memory_than_a_head_and_a_part() -> None:
    maker = Maker("laptop", KEY)
    batches = [maker.seal(["x" * 1_000_000, "y" * 1_000_000]) for _ in range(20)]
    data = packets.made(maker, SERVER, batches)
    tracemalloc.start()
    try:
        for _ in bundle.read(io.BytesIO(data).read).frames:
            pass
        assert tracemalloc.get_traced_memory()[1] < 2 * len(batches[0][1][0]) + MEMORY // 10
    finally:
        tracemalloc.stop()
