"""Natural keys followed to their leaves, and tables in an order in which parents come first."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core.change import Field, Kind, Reference, Shape, watched
from cdc_sync.core.keys import Plain, Through, leaves, owner, parents_first, steps
from cdc_sync.errors import ConfigError


def shape(name: str, columns: str, key: str, *references: Reference) -> Shape:
    fields = tuple(
        Field(name=column, kind=Kind.INTEGER if column.endswith("id") else Kind.TEXT) for column in columns.split()
    )
    return Shape(name=name, fields=fields, identity=("id",), key=tuple(key.split()), references=references)


def to(table: str, columns: str, target: str = "id") -> Reference:
    return Reference(columns=tuple(columns.split()), table=table, target=tuple(target.split()))


def named(*shapes: Shape) -> dict[str, Shape]:
    return {entry.name: entry for entry in shapes}


SUBJECT = shape("subject", "id code", "code")
VISIT = shape("visit", "id subject_id code", "subject_id code", to("subject", "subject_id"))
SAMPLE = shape("sample", "id visit_id tube", "visit_id tube", to("visit", "visit_id"))
CLINIC = named(SUBJECT, VISIT, SAMPLE)


def paths(shapes: Mapping[str, Shape], name: str) -> list[str]:
    return [field.name for field in leaves(shapes, name)]


def test_a_plain_key_is_its_own_leaf() -> None:
    assert leaves(CLINIC, "subject") == (Field(name="code", kind=Kind.TEXT),)


def test_a_foreign_key_column_stands_for_the_parents_leaves() -> None:
    assert paths(CLINIC, "visit") == ["subject_id>code", "code"]


def test_leaves_are_followed_up_to_the_grandparents() -> None:
    assert paths(CLINIC, "sample") == ["visit_id>subject_id>code", "visit_id>code", "tube"]


def test_a_reference_of_two_columns_is_followed_once_and_named_by_both() -> None:
    place = shape("place", "area code label", "label")
    stay = shape("stay", "id area place_code day", "place_code area day", to("place", "area place_code", "area code"))
    assert paths(named(place, stay), "stay") == ["area,place_code>label", "day"]
    assert list(steps(stay)) == [Through(stay.references[0]), Plain("day")]


def test_two_references_to_the_same_parent_have_leaves_of_their_own() -> None:
    pair = shape("pair", "id a_id b_id", "a_id b_id", to("subject", "a_id"), to("subject", "b_id"))
    assert paths(named(SUBJECT, pair), "pair") == ["a_id>code", "b_id>code"]


def test_the_first_of_overlapping_references_owns_the_column() -> None:
    first, second = to("subject", "subject_id"), to("visit", "subject_id code", "subject_id code")
    entry = shape("entry", "id subject_id code", "subject_id", first, second)
    assert owner(entry, "subject_id") == first
    assert owner(entry, "code") == second
    assert owner(entry, "id") is None


def test_a_key_outside_the_reference_to_itself_is_fine() -> None:
    person = shape("person", "id code boss_id", "code", to("person", "boss_id"))
    assert paths(named(person), "person") == ["code"]
    assert parents_first(named(person)) == ["person"]


@pytest.mark.parametrize("start", ["a", "b", "outside"])
def test_a_key_that_comes_back_to_its_table_is_refused(start: str) -> None:
    a = shape("a", "id b_id", "b_id", to("b", "b_id"))
    b = shape("b", "id a_id", "a_id", to("a", "a_id"))
    outside = shape("outside", "id a_id", "a_id", to("a", "a_id"))
    with pytest.raises(ConfigError, match="runs through itself") as caught:
        leaves(named(a, b, outside), start)
    assert caught.value.hint


def test_a_key_that_comes_back_names_a_table_of_the_circle() -> None:
    person = shape("person", "id boss_id", "boss_id", to("person", "boss_id"))
    visit = shape("visit", "id person_id", "person_id", to("person", "person_id"))
    with pytest.raises(ConfigError, match="'person'"):
        leaves(named(person, visit), "visit")


def test_parents_come_before_their_children() -> None:
    assert parents_first(CLINIC) == ["subject", "visit", "sample"]


@given(st.permutations(range(7)), st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_without_a_cycle_every_parent_comes_first(ranks: list[int], pairs: set[tuple[int, int]]) -> None:
    """References run only from a higher rank to a lower one, so there is no cycle."""
    edges = [(child, parent) for child, parent in pairs if ranks[child] > ranks[parent]]
    shapes = named(
        *(
            shape(f"t{i}", "id", "id", *(to(f"t{parent}", "id") for child, parent in edges if child == i))
            for i in range(7)
        )
    )
    order = parents_first(shapes)
    assert sorted(order) == sorted(shapes)
    assert all(order.index(f"t{parent}") < order.index(f"t{child}") for child, parent in edges)


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_with_cycles_every_table_still_comes_once_and_always_in_the_same_order(pairs: set[tuple[int, int]]) -> None:
    shapes = [
        shape(f"t{i}", "id", "id", *(to(f"t{parent}", "id") for child, parent in sorted(pairs) if child == i))
        for i in range(5)
    ]
    order = parents_first(named(*shapes))
    assert sorted(order) == [f"t{i}" for i in range(5)]
    assert parents_first(named(*reversed(shapes))) == order


def test_watched_are_key_identity_and_what_children_refer_to() -> None:
    parent = shape("parent", "id code label note", "code")
    child = shape("child", "id parent_label", "id", to("parent", "parent_label", "label"))
    assert watched(parent, [parent, child]) == ("id", "code", "label")
    assert watched(parent, [parent]) == ("id", "code")
