"""The shapes that a configuration asks for, and whether a target can take them."""

from collections.abc import Mapping, Sequence

import pytest

from cdc_sync.core import plan
from cdc_sync.core.change import Column, Kind, Reference, Shape, Table
from cdc_sync.core.fit import check_target
from cdc_sync.core.plan import SyncedTable, shapes
from cdc_sync.errors import ConfigError, SchemaMismatch


def number(name: str, *, supplied: bool = False, nullable: bool = False) -> Column:
    return Column(name=name, kind=Kind.INTEGER, supplied=supplied, nullable=nullable)


def text(name: str, *, nullable: bool = False, generated: bool = False) -> Column:
    return Column(name=name, kind=Kind.TEXT, nullable=nullable, generated=generated)


def table(name: str, *columns: Column, key: str = "id", unique: str = "", refers: Sequence[Reference] = ()) -> Table:
    """A table with a primary key, and at most one more unique key."""
    uniques = [tuple(names.split()) for names in (key, unique) if names]
    return Table(
        name=name,
        schema=None,
        columns=columns,
        primary_key=tuple(key.split()),
        uniques=tuple(uniques),
        references=tuple(refers),
    )


def to(parent: str, column: str, target: str = "id") -> Reference:
    return Reference(columns=(column,), table=parent, target=(target,))


ID = number("id", supplied=True)
SUBJECT = table("subject", ID, text("code"), text("note", nullable=True), unique="code")
VISIT = table(
    "visit", ID, number("subject_id"), text("code"), unique="subject_id code", refers=[to("subject", "subject_id")]
)


def described(*tables: Table) -> dict[str, Table]:
    return {entry.name: entry for entry in tables}


def want(name: str, key: str, exclude: str = "") -> SyncedTable:
    return SyncedTable(name=name, key=tuple(key.split()), exclude=tuple(exclude.split()))


def made(wanted: Sequence[SyncedTable], *tables: Table) -> Mapping[str, Shape]:
    return shapes(wanted, described(*tables))


def test_a_parent_that_is_not_configured_comes_along_with_its_own_unique_key() -> None:
    found = made([want("visit", "subject_id code")], SUBJECT, VISIT)
    assert {name: shape.key for name, shape in found.items()} == {"visit": ("subject_id", "code"), "subject": ("code",)}


def test_the_configured_key_of_a_parent_goes_before_its_unique_keys() -> None:
    found = made([want("visit", "subject_id code"), want("subject", "note")], SUBJECT, VISIT)
    assert found["subject"].key == ("note",)


@pytest.mark.parametrize("nullable", [True, False])
def test_a_unique_key_that_may_be_null_names_nobody(nullable: bool) -> None:
    parent = table("subject", ID, text("code", nullable=nullable), unique="code")
    if not nullable:
        assert "subject" in made([want("visit", "code")], parent, VISIT)
        return
    with pytest.raises(ConfigError, match="'subject'") as caught:
        made([want("visit", "code")], parent, VISIT)
    assert 'name = "subject"' in caught.value.hint


def test_a_parent_whose_primary_key_means_the_same_everywhere_needs_no_other_key() -> None:
    country = table("country", text("iso"), key="iso")
    person = table("person", ID, text("code"), text("iso"), unique="code", refers=[to("country", "iso", "iso")])
    found = made([want("person", "code")], country, person)
    assert found["person"].references == ()
    assert "country" not in found


def test_a_reference_that_leaves_with_its_column_is_no_reference() -> None:
    found = made([want("visit", "code", exclude="subject_id")], table("subject", ID), VISIT)
    assert set(found) == {"visit"}
    assert found["visit"].references == ()


def test_generated_columns_do_not_travel() -> None:
    loud = table("subject", ID, text("code"), text("loud", generated=True), unique="code")
    assert made([want("subject", "code")], loud)["subject"].names == ("id", "code")


def test_a_table_without_primary_key_is_told_apart_by_its_natural_key() -> None:
    bare = Table(name="bare", schema=None, columns=(text("code"), text("note")))
    assert made([want("bare", "code")], bare)["bare"].identity == ("code",)


def test_two_tables_that_refer_to_each_other_are_fine_while_their_keys_do_not() -> None:
    a = table("a", ID, text("code"), number("b_id", nullable=True), unique="code", refers=[to("b", "b_id")])
    b = table("b", ID, number("a_id"), text("code"), unique="a_id code", refers=[to("a", "a_id")])
    assert set(made([want("a", "code"), want("b", "a_id code")], a, b)) == {"a", "b"}
    with pytest.raises(ConfigError, match="runs through itself"):
        made([want("a", "b_id"), want("b", "a_id")], a, b)


def test_the_nearest_table_is_proposed() -> None:
    with pytest.raises(ConfigError, match="'subjct'") as caught:
        plan.check_names([want("subjct", "code")], {}, ["visit", "subject"])
    assert caught.value.hint == "did you mean 'subject'?"


def test_tables_that_are_far_from_every_name_are_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        plan.check_names([want("zzz", "code")], {}, ["visit", "subject"])
    assert "visit, subject" in caught.value.hint


class Remedies:
    def add_unique(self, table: str, columns: Sequence[str]) -> str:
        return f"unique {table} {list(columns)}"

    def set_not_null(self, table: str, column: str) -> str:
        return f"not null {table} {column}"

    def hand_out_numbers(self, table: str, column: str) -> str:
        return f"numbers {table} {column}"


def check(*target: Table) -> None:
    wanted = made([want("subject", "code")], SUBJECT)
    check_target(wanted, ["subject"], described(*target), "there", Remedies())


def test_a_target_like_its_source_fits() -> None:
    check(SUBJECT)


def test_a_narrower_unique_key_is_enough() -> None:
    wanted = made([want("visit", "subject_id code")], SUBJECT, VISIT)
    narrow = table("visit", ID, number("subject_id"), text("code"), unique="code")
    check_target(wanted, ["visit"], described(SUBJECT, narrow), "there", Remedies())


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        (table("subject", ID, text("code"), text("note")), "unique subject ['code']"),
        (table("subject", ID, text("code"), text("note"), unique="code note"), "unique subject ['code']"),
        (table("subject", ID, text("code", nullable=True), text("note"), unique="code"), "not null subject code"),
        (table("subject", number("id"), text("code"), text("note"), unique="code"), "numbers subject id"),
        (table("subject", ID, text("code"), text("note"), text("site"), unique="code"), "default"),
        (table("subject", ID, text("note"), unique="note"), "add it there"),
        (table("other", ID), "create it there"),
    ],
    ids=["no-unique", "wider-unique", "nullable", "no-numbers", "no-default", "no-key-column", "no-table"],
)
def test_what_a_target_lacks_is_said_with_its_remedy(target: Table, hint: str) -> None:
    with pytest.raises(SchemaMismatch, match="there") as caught:
        check(target)
    assert hint in caught.value.hint


def test_a_parent_needs_its_key_on_the_target_but_not_its_columns() -> None:
    wanted = made([want("visit", "subject_id code")], SUBJECT, VISIT)
    bare = table("subject", ID, text("code"), text("site"), unique="code")
    check_target(wanted, ["visit"], described(bare, VISIT), "there", Remedies())
    with pytest.raises(SchemaMismatch, match="no key column 'code'"):
        check_target(wanted, ["visit"], described(table("subject", ID), VISIT), "there", Remedies())
