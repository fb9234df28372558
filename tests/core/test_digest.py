"""Digests of rows find every difference: equal values may come out as candidates, different ones never as equal."""

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import digest, values
from cdc_sync.core.change import Kind
from cdc_sync.core.digest import BUCKETS, Sums, Typed, canonical, canonical_key, groups

Rows = list[tuple[int, int]]
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12)


def typed(encoding: str, kind: Kind, declared: str = "") -> Typed:
    return Typed(encoding=encoding, kind=kind, declared=declared)  # type: ignore[arg-type]


def sums(rows: Rows) -> Sums:
    made = Sums()
    for key, value in rows:
        made.add(digest.digest([key]), digest.digest([key, value]))
    return made


@given(rows=ROWS, seed=st.integers())
def test_the_order_of_rows_does_not_matter(rows: Rows, seed: int) -> None:
    shuffled = list(rows)
    random.Random(seed).shuffle(shuffled)
    assert groups(sums(rows), sums(shuffled), 1) == {}


@given(one=ROWS, other=ROWS)
def test_only_buckets_of_keys_that_stand_for_different_rows_differ_and_all_of_them(one: Rows, other: Rows) -> None:
    def of(rows: Rows, key: int) -> Rows:
        return sorted(row for row in rows if row[0] == key)

    differing = {key for key, _ in (*one, *other) if of(one, key) != of(other, key)}
    found = groups(sums(one), sums(other), 1)
    assert set(found) == {digest.bucket_of(digest.digest([key])) for key in differing}


def test_groups_hold_some_rows_each_and_are_numbered_without_gaps() -> None:
    one, other = Sums(), Sums()
    for bucket in range(0, BUCKETS, 1024):
        one.counts[bucket] = 10
    found = groups(one, other, 25)
    assert sorted(set(found.values())) == list(range(max(found.values()) + 1))
    assert all(list(found.values()).count(group) <= 3 for group in set(found.values()))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.INTEGER, st.integers(-(2**63), 2**63 - 1)),
        (Kind.NUMERIC, st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)),
        (Kind.FLOAT, st.floats(allow_nan=False)),
        (Kind.TEXT, st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))),
        (Kind.BYTES, st.binary()),
    ],
    ids=lambda value: str(getattr(value, "value", "")),
)
def test_a_storage_class_equals_the_text_that_is_written_of_it(kind: Kind, value: st.SearchStrategy[object]) -> None:
    here, there = typed("rows", kind), typed("copy", kind)

    @given(value=st.none() | value)
    def equal(value: object) -> None:
        written = values.to_copy(kind)(value).encode()  # type: ignore[arg-type]
        assert canonical(here, here, there)(value) == canonical(there, here, there)(written)

    equal()


def test_numbers_of_many_digits_keep_all_of_them() -> None:
    here, there = typed("rows", Kind.NUMERIC), typed("copy", Kind.NUMERIC)
    convert = canonical(there, here, there)
    assert convert(b"1.50") == convert(b"1.5") == "1.5"
    assert convert(b"100") == "100"
    long = "1" * 60
    assert convert(f"{long}.1".encode()) != convert(f"{long}.2".encode())
    assert Decimal(convert(b"-0.0000000000000000000000000000000001")) == Decimal("-1e-34")


def test_between_databases_with_types_text_is_compared_as_it_is_where_types_are_the_same() -> None:
    there = typed("copy", Kind.OTHER, "json")
    assert canonical(there, there, there)(b'{"a":1}') != canonical(there, there, there)(b'{"a": 1}')
    assert canonical(there, there, there)(b"\\N") != canonical(there, there, there)(b"\\\\N")


def test_without_types_text_and_number_are_two() -> None:
    here = typed("rows", Kind.OTHER)
    convert = canonical(here, here, here)
    assert convert(5) == convert(5.0)
    assert convert(5) != convert("5")
    assert convert("a") != convert(b"a")


def test_keys_that_some_database_takes_for_one_are_one() -> None:
    here, there = typed("rows", Kind.TEXT), typed("copy", Kind.TEXT, "character(5)")
    assert canonical_key(here, there)("Abc") == canonical_key(there, there)(b"aBC  ")
