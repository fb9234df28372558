"""What a target calls otherwise, and what it does not have."""

import pytest

from cdc_sync.core import renames, skew
from cdc_sync.core.change import Column, Field, Kind, Reference, Shape, Table
from cdc_sync.core.fit import left_out
from cdc_sync.core.keys import leaves
from cdc_sync.core.layout import layout, narrowed
from cdc_sync.core.renames import NONE, Rename, Renames
from cdc_sync.core.wire import Header, Section, fingerprint, pack_part
from cdc_sync.errors import ConfigError, SchemaMismatch


def shape(name: str, columns: str, key: str, *references: Reference, after: tuple[Reference, ...] = ()) -> Shape:
    return Shape(
        name=name,
        fields=tuple(Field(name=column, kind=Kind.TEXT) for column in columns.split()),
        identity=("id",),
        key=tuple(key.split()),
        references=references,
        after=after,
    )


def to(table: str, columns: str, target: str = "id") -> Reference:
    return Reference(columns=tuple(columns.split()), table=table, target=tuple(target.split()))


def there(columns: str, name: str = "any") -> Table:
    return Table(name=name, schema=None, columns=tuple(Column(name=c, kind=Kind.TEXT) for c in columns.split()))


SUBJECT = shape("subject", "id code dob", "code")
VISIT = shape("visit", "id subject_id number", "subject_id number", to("subject", "subject_id"))
SHAPES = {"subject": SUBJECT, "visit": VISIT}
RENAMES = Renames(
    {
        "subject": Rename(target="clinic.person", columns={"id": "no", "code": "dob", "dob": "code"}),
        "visit": Rename(columns={"subject_id": "person"}),
    }
)


def test_everything_that_names_a_table_or_a_column_is_renamed() -> None:
    person, visit = RENAMES.shapes([SUBJECT, VISIT])
    assert (person.name, person.names, person.identity, person.key) == (
        "clinic.person", ("no", "dob", "code"), ("no",), ("dob",)
    )  # fmt: skip
    assert (visit.name, visit.key) == ("visit", ("person", "number"))
    assert visit.references == (to("clinic.person", "person", "no"),)
    own = shape("visit", "id code", "code", after=(to("subject", "code", "code"),))
    assert RENAMES.shapes([own])[0].after == (to("clinic.person", "code", "dob"),)


def test_rows_stand_at_the_same_places_under_other_names() -> None:
    named = RENAMES.named(SHAPES)
    before, after = (layout(shapes, name, keyed=True) for shapes, name in ((SHAPES, "visit"), (named, "visit")))
    assert [(c.name, c.kind) for c in before.columns] == [(c.name, c.kind) for c in after.columns]
    assert [field.name for field in leaves(named, "visit")] == ["person>dob", "number"]


def test_a_header_is_renamed_and_keeps_its_fingerprint() -> None:
    part, _ = pack_part("subject", 1, "rows", b"")
    header = Header(
        version=1,
        node="laptop",
        epoch="e",
        number=1,
        previous=b"",
        sealed_at="",
        fingerprint=fingerprint([SUBJECT]),
        shapes=(SUBJECT,),
        sections=(Section(table="subject", counts={"I": 1}),),
        parts=(part,),
    )
    renamed = RENAMES.header(header)
    assert (renamed.sections[0].table, renamed.parts[0].table) == ("clinic.person", "clinic.person")
    assert renamed.shapes == RENAMES.shapes([SUBJECT])
    assert (renamed.fingerprint, renamed.parts[0].digest) == (header.fingerprint, part.digest)
    assert NONE.header(header) is header


def test_renames_are_kept_as_text() -> None:
    assert renames.decode(RENAMES.encode()) == RENAMES
    assert renames.decode(None) == renames.decode(NONE.encode()) == NONE
    assert [RENAMES.origin(name) for name in ("clinic.person", "visit", "sample")] == ["subject", "visit", "sample"]


@pytest.mark.parametrize(
    ("tables", "message", "hint"),
    [
        ({"subject": Rename(columns={"cod": "born"})}, "'cod', which does not travel", "'code'"),
        ({"subject": Rename(columns={"dob": "code"})}, "'code' and 'dob' would both be 'code'", "exclude"),
        ({"subject": Rename(target="visit")}, "'subject' and 'visit' would both be 'visit'", "another target"),
    ],
    ids=["unknown-column", "two-columns", "two-tables"],
)
def test_renames_that_cannot_be_are_refused(tables: dict[str, Rename], message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Renames(tables).check(SHAPES)
    assert hint in caught.value.hint


def test_names_may_change_places() -> None:
    Renames({"subject": Rename(target="visit"), "visit": Rename(target="subject")}).check(SHAPES)
    RENAMES.check(SHAPES)


def test_a_column_that_the_target_lacks_goes_with_its_reference() -> None:
    wide = shape("subject", "id code note site_id", "code", to("site", "site_id"))
    shapes = {"site": shape("site", "id name", "name"), "subject": wide}
    found = skew.fitted(shapes, ["subject"], {"subject": there("code id")}, "there")
    assert list(found) == ["subject"]
    assert (found["subject"].names, found["subject"].references) == (("id", "code"), ())
    laid = layout(shapes, "subject", keyed=True)
    short = narrowed(laid, wide, found["subject"])
    assert (short.columns, short.parents, short.value("note")) == (laid.columns, (), laid.value("note"))
    assert left_out(shapes, ["subject"], {"subject": there("code")}) == [("subject", "note"), ("subject", "site_id")]


def test_nothing_changes_where_nothing_is_lacking() -> None:
    assert skew.narrowed(VISIT, there("more number subject_id id"), "there") is VISIT
    laid = layout(SHAPES, "visit", keyed=True)
    assert narrowed(laid, VISIT, VISIT) is laid


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("id number note area code", "no key column 'subject_id'"),
        ("id subject_id number note code", "no column 'area', which refers to table 'place' together with others"),
    ],
    ids=["key", "half-a-reference"],
)
def test_some_columns_cannot_be_left_out(columns: str, message: str) -> None:
    wide = shape(
        "visit",
        "id subject_id number note area code",
        "subject_id number",
        to("subject", "subject_id"),
        to("place", "area code", "area code"),
    )
    with pytest.raises(SchemaMismatch, match=message):
        skew.narrowed(wide, there(columns), "there")


def test_a_parents_column_that_children_refer_to_must_be_there() -> None:
    described = {"subject": there("code"), "visit": there("subject_id number")}
    with pytest.raises(SchemaMismatch, match="'subject' has no column 'id', which table 'visit' refers to") as caught:
        skew.fitted(SHAPES, ["visit"], described, "there")
    assert "columns = { here =" in caught.value.hint
