"""Texts of a view's expressions: which columns stand in them, and the same over something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core import views
from cdc_sync.core.change import Column, Kind, Table
from cdc_sync.core.views import definitions, viewing
from cdc_sync.core.views.definitions import Unfit


def rendered(text: str) -> str:
    return views.render(text, "postgresql", lambda name: f"<{name}>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a"', "<a>"),
        ('"odd ""name"', '<odd "name>'),
        ("'it''s \"a\"' || \"a\"", "'it''s \"a\"' || <a>"),
        ('"a" collate "C" < "b"', '<a> collate "C" < <b>'),
        ('("a")::"char" = cast("b" as "My Type")', '(<a>)::"char" = cast(<b> as "My Type")'),
        ('("place")."Street"', '(<place>)."Street"'),
        ('"my schema".twice("n") + "Twice"("n")', '"my schema".twice(<n>) + "Twice"(<n>)'),
        ("E'\\\\' || \"a\"", "E'\\\\' || <a>"),
    ],
)
def test_only_columns_are_written_anew(text: str, expected: str) -> None:
    assert rendered(text) == expected


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1))
def test_whatever_columns_and_texts_are_called_they_are_told_apart(pairs: list[tuple[str, str]]) -> None:
    literals = ["'" + text.replace("'", "''") + "'" for _, text in pairs]
    parts = zip((views.quoted(name) for name, _ in pairs), literals, strict=True)
    text = " || ".join(f"{name} || {literal}" for name, literal in parts)
    assert views.reads(text, "sqlite") == tuple(dict.fromkeys(name for name, _ in pairs))
    assert views.render(text, "sqlite", lambda _: "x") == " || ".join(f"x || {literal}" for literal in literals)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("((a) + (b))", "(a) + (b)"), ("(a) + (b)", "(a) + (b)"), ("((a))", "a"), ("('(' || a)", "'(' || a"), ("a", "a")],
)
def test_only_parentheses_around_the_whole_are_taken_away(text: str, expected: str) -> None:
    assert views.bare(text) == expected


def test_collations_are_put_in_only_where_a_column_has_one() -> None:
    columns = (Column(name="a", kind=Kind.TEXT, collation='"nocase"'), Column(name="b", kind=Kind.TEXT))
    base = Table(name="t", schema=None, columns=columns)

    def over(text: str) -> str:
        return views.render(text, "sqlite", lambda name: f'c."{name}"', base)

    assert over('"a"') == 'c."a"'
    assert over("\"b\" = 'x'") == "c.\"b\" = 'x'"
    assert over('"a" = "b"') == (
        '(select "a" = "b" from (select c."a" collate "nocase" as "a", c."b" as "b") as cdc_sync_alike)'
    )


NO_DEFINITIONS = ["", ";", "select", "create view v", "select a from", "drop table t", "select a, from t", "(" * 5000]


@pytest.mark.parametrize("text", NO_DEFINITIONS, ids=lambda text: repr(text[:20]))
def test_what_is_no_definition_cannot_be_read(text: str) -> None:
    with pytest.raises(Unfit):
        definitions.parse(text, "sqlite")


_WORDS = """
select from where as a t v case when then end join on union values with distinct order by limit in is not null and or
cast ( ( ) ) [ ] ' " ` -- /* */ , . ; * + || :: = ? $$ 1 'x' "a" x'00' E'\\' create view group having
"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=12).map(" ".join), st.sampled_from(["sqlite", "postgresql"]))
def test_whatever_a_definition_holds_it_is_read_or_refused(text: str, kind: str) -> None:
    for whole in (
        text,
        f"select {text} from t",
        f"select a from t where {text}",
        f"create view v as select a from t {text}",
    ):
        try:
            found = definitions.parse(whole, kind)
        except Unfit:
            continue
        assert found.source
        assert len(found.items) == len(found.columns)


BASE = Table(
    name="t",
    schema=None,
    columns=(
        Column(name="id", kind=Kind.INTEGER, declared="integer"),
        Column(name="kind", kind=Kind.TEXT, declared="character varying(10)"),
        Column(name="active", kind=Kind.BOOLEAN, declared="boolean"),
        Column(name="n", kind=Kind.INTEGER, declared="integer"),
    ),
)
FIXED = {
    "kind = 'a'": {"kind": "'a'"},
    "'it''s' = kind and n = -1": {"kind": "'it''s'", "n": "-1"},
    "((kind = ('a'))) and (id > 1 and n = 2)": {"kind": "'a'", "n": "2"},
    "kind in ('a')": {"kind": "'a'"},
    "kind is null": {"kind": "null"},
    "kind = 'a' and kind = 'b'": {"kind": "'a'"},
    "kind = 'a' or n = 2": {},
    "not (kind = 'a' and n = 2)": {},
    "kind in ('a', 'b')": {},
    "kind not in ('a')": {},
    "kind is not null and n <> 2": {},
    "not kind = 'a' and kind not like 'a'": {},
    "kind = id and n = n + 1": {},
    "lower(kind) = 'a' and kind || 'b' = 'ab'": {},
}


def fixed(kind: str, condition: str) -> dict[str, str]:
    read = definitions.parse(f"select id from t where {condition}", kind)
    return dict(viewing.proxy(read, viewing.Facts(columns=("id",)), BASE, "t").fixed)


@pytest.mark.parametrize("condition", FIXED)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_row_has_that_belongs_is_read_from_plain_equality_alone(kind: str, condition: str) -> None:
    assert fixed(kind, condition) == FIXED[condition]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("active", {"active": "true"}),
        ("not active", {"active": "false"}),
        ("active is false", {"active": "false"}),
        ("active is not false", {}),
        ("active is not distinct from true", {"active": "true"}),
        ("active is distinct from true", {}),
        ("(kind)::text = 'a'::text", {"kind": "'a'"}),
        ("(n)::text = '1'::text", {}),
        ("n = '-1'::integer", {"n": "'-1'"}),
        ("kind = any (array['a'::text])", {}),
        ("kind !~~ 'a'::text", {}),
    ],
)
def test_postgresql_is_read_as_it_writes_itself(condition: str, expected: dict[str, str]) -> None:
    assert fixed("postgresql", condition) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("active", {"active": "1"}),
        ("not active", {"active": "0"}),
        ("n", {}),
        ("KIND == 'a'", {"kind": "'a'"}),
        ('kind = "a"', {"kind": "'a'"}),
        ('kind = "n"', {}),
        ("kind is 'a'", {"kind": "'a'"}),
        ("kind is not 'a'", {}),
        ("kind isnull", {"kind": "null"}),
        ("kind notnull", {}),
        ("n = cast('5' as integer)", {}),
    ],
)
def test_sqlite_is_read_in_its_own_words(condition: str, expected: dict[str, str]) -> None:
    assert fixed("sqlite", condition) == expected
