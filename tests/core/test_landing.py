"""Where rows go that are sent to a view: under which names, what is filled in, and what a view lacks to take them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from cdc_sync.core import skew
from cdc_sync.core.change import Column, Field, Kind, Reference, Shape, Table, View
from cdc_sync.core.fit import check_target, left_out
from cdc_sync.core.views.landing import Landing, land
from cdc_sync.errors import SchemaMismatch


class Remedies:
    def add_unique(self, table: str, columns: Sequence[str]) -> str:
        return f"unique {table} {list(columns)}"

    def set_not_null(self, table: str, column: str) -> str:
        return f"not null {table} {column}"

    def hand_out_numbers(self, table: str, column: str) -> str:
        return f"numbers {table} {column}"


def text(name: str, *, nullable: bool = False, generated: bool = False) -> Column:
    return Column(name=name, kind=Kind.TEXT, declared="text", nullable=nullable, generated=generated)


ID = Column(name="id", kind=Kind.INTEGER, nullable=False, supplied=True)
PERSON = Table(
    name="person",
    schema=None,
    columns=(ID, text("person_code"), text("kind"), text("label", nullable=True), text("note", nullable=True)),
    primary_key=("id",),
    uniques=(("id",), ("person_code",)),
)
PLAIN = {"id": "id", "code": "person_code", "note": "note"}


def view(
    base: Table = PERSON,
    plain: Mapping[str, str] | None = None,
    computed: Sequence[str] = (),
    constants: Mapping[str, str] | None = None,
    fixed: Mapping[str, str] | None = None,
    **more: object,
) -> Table:
    """View ``infant`` of a table, as its database would describe it."""
    plain = PLAIN if plain is None else plain
    constants, fixed = constants or {}, {"kind": "'infant'"} if fixed is None else fixed
    columns = [replace(column, name=name) for name, there in plain.items() if (column := base.column(there))]
    columns += [text(name, nullable=True) for name in (*computed, *constants)]
    shown = View(
        table="person",
        base=base,
        plain=tuple(plain.items()),
        constants=tuple(constants.items()),
        fixed=tuple(fixed.items()),
        condition=" and ".join(f'"{name}" = {literal}' for name, literal in fixed.items()),
    )
    return Table(name="infant", schema=None, columns=tuple(columns), view=replace(shown, **more))  # type: ignore[arg-type]


def shape(*names: str, name: str = "infant", references: Sequence[Reference] = ()) -> Shape:
    kinds = {"id": Kind.INTEGER}
    fields = tuple(Field(name=column, kind=kinds.get(column, Kind.TEXT)) for column in names)
    return Shape(name=name, fields=fields, identity=("id",), key=("code",), references=tuple(references))


def landed(came: Shape, there: Table) -> tuple[Landing, Shape]:
    found = land({"infant": came}, {"infant": there})
    return found.landings["infant"], found.shapes["infant"]


def test_rows_for_a_proxy_go_to_its_table_under_the_tables_names_with_what_is_fixed() -> None:
    landing, there = landed(shape("id", "code", "note"), view())
    assert landing.table is PERSON
    assert there.names == ("id", "person_code", "note")
    assert there.key == ("person_code",)
    assert landing.fixed == {"kind": "'infant'"}


def test_what_comes_is_not_filled_in() -> None:
    landing, there = landed(shape("id", "code", "kind"), view(plain={**PLAIN, "kind": "kind"}))
    assert landing.fixed == {}
    assert there.names == ("id", "person_code", "kind")


def test_what_the_view_makes_or_does_not_show_goes_nowhere_whatever_the_table_has_under_that_name() -> None:
    came = shape("id", "code", "note", "label", "kind", "other")
    landing, there = landed(came, view(computed=["label"]))
    fitted = skew.narrowed(there, PERSON, "there")
    assert fitted.names == ("id", "person_code", "note")
    assert landing.fixed == {"kind": "'infant'"}


def test_a_generated_column_is_not_written_through_its_proxy() -> None:
    base = replace(PERSON, columns=(*PERSON.columns[:3], text("label", generated=True), text("note", nullable=True)))
    there = landed(shape("id", "code", "label"), view(base, {**PLAIN, "label": "label"}))[1]
    assert skew.narrowed(there, base, "there").names == ("id", "person_code")


def test_of_two_columns_for_one_the_key_is_the_one_that_is_written() -> None:
    there = landed(shape("id", "again", "code"), view(plain={"again": "person_code", **PLAIN}))[1]
    assert there.key == ("person_code",)
    assert there.names[1] == "again"


def test_constants_are_compared_and_nowhere_written() -> None:
    landing, there = landed(shape("id", "code", "kind"), view(constants={"kind": "'infant'"}))
    assert landing.constants == {"infant.kind": "'infant'"}
    assert there.names == ("id", "person_code", "infant.kind")
    assert landing.typed("infant.kind") == text("kind", nullable=True)
    assert landing.typed("person_code") is None
    assert "column 'kind' is always 'infant'" in landing.belonging()


CHILD = Shape(
    name="visit",
    fields=(Field(name="id", kind=Kind.INTEGER), Field(name="infant_id", kind=Kind.INTEGER)),
    identity=("id",),
    key=("infant_id",),
    references=(Reference(columns=("infant_id",), table="infant", target=("id",)),),
)


@pytest.mark.parametrize("shown", ["number", "id", None])
def test_children_refer_to_the_tables_primary_key_whatever_the_view_shows_of_it(shown: str | None) -> None:
    plain = {"code": "person_code", **({shown: "id"} if shown else {})}
    came = shape("id", "code")
    if shown == "number":
        reference = replace(CHILD.references[0], target=("number",))
        came = replace(shape("number", "code"), identity=("number",))
        child = replace(CHILD, references=(reference,))
    else:
        child = CHILD
    found = land({"infant": came, "visit": child}, {"infant": view(plain=plain), "visit": PERSON})
    assert found.shapes["visit"].references[0].target == ("id",)
    assert found.shapes["infant"].identity == ("id",)


def test_units_of_one_table_are_parents_together() -> None:
    """A child's parent may come as a row of any view of the table."""
    subject = shape("id", "code", name="zz_subject")
    reference = replace(CHILD.references[0], table="zz_subject")
    shapes = {"zz_infant": shape("id", "code", name="zz_infant"), "zz_subject": subject}
    shapes["visit"] = replace(CHILD, references=(reference,))
    found = land(shapes, {"zz_infant": view(), "zz_subject": PERSON, "visit": replace(PERSON, name="visit")})
    assert found.order()[-1] == "visit"
    assert found.alike("zz_subject") == ["zz_infant"]


def test_a_column_that_is_fixed_may_make_the_key_unique() -> None:
    base = replace(PERSON, uniques=(("id",), ("kind", "person_code")))
    assert landed(shape("id", "code"), view(base))[0].pinned == {"kind": "'infant'"}
    assert landed(shape("id", "code"), view())[0].pinned == {}
    check_target({"infant": shape("id", "code")}, ["infant"], {"infant": view(base)}, "there", Remedies())


def test_a_view_with_triggers_is_written_itself_and_keeps_its_names() -> None:
    shown = view(fired=True, writable=True)
    landing, there = landed(shape("id", "code", "note"), shown)
    assert landing.through
    assert landing.table.called == "infant"
    assert landing.table.uniques == ()
    assert there.names == ("id", "code", "note")
    check_target({"infant": there}, ["infant"], {"infant": shown}, "there", Remedies())


def test_a_view_of_many_tables_is_not_given_the_numbers_of_an_origin() -> None:
    shown = Table(name="infant", schema=None, columns=(text("id"), text("code")), view=View(refusal="x", writable=True))
    assert landed(shape("id", "code"), shown)[0].own == ("id",)


def bare(refusal: str, **more: bool) -> Table:
    return Table(name="infant", schema=None, columns=(text("code"),), view=View(refusal=refusal, **more))


LACKING = {
    "neither proxy nor writable": (bare("it has a join"), "it has a join, and it takes no rows", "INSTEAD OF"),
    "some triggers": (view(fired=True), "not for insert, update and delete alike", "create those"),
    "a key that it makes": (
        view(plain={"id": "id"}, computed=["code"]),
        "view 'infant' does not take as it is key column 'code'",
        "show the column itself",
    ),
    "no key": (view(plain={"id": "id"}), "view 'infant' has no key column 'code'", "show the column itself"),
    "no unique key": (
        view(replace(PERSON, uniques=(("id",),))),
        """table 'person' of view 'infant' has no unique constraint on its key ("person_code")""",
        "unique person ['person_code']",
    ),
    "a column that nobody fills": (
        view(fixed={}),
        "column 'kind' of table 'person' of view 'infant' must not be null, and no value comes for it",
        "a default",
    ),
    "no numbers": (
        view(replace(PERSON, columns=(replace(ID, supplied=False), *PERSON.columns[1:]))),
        "primary key 'id' of table 'person' of view 'infant' hands out no numbers",
        "numbers person id",
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_what_a_view_lacks_is_said_with_its_remedy(case: str) -> None:
    there, message, hint = LACKING[case]
    with pytest.raises(SchemaMismatch) as caught:
        check_target({"infant": shape("id", "code")}, ["infant"], {"infant": there}, "there", Remedies())
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_columns_that_a_view_does_not_show_are_told_by_the_names_under_which_they_came() -> None:
    came = {"infant": shape("id", "code", "kind")}
    assert left_out(came, ["infant"], {"infant": view()}) == [("infant", "kind")]


def test_a_target_without_views_is_left_as_it_is() -> None:
    shapes, described = {"person": shape("id", "code", name="person")}, {"person": PERSON}
    found = land(shapes, described)
    assert found.shapes is shapes
    assert found.described is described
