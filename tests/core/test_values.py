"""Values between COPY text and SQLite: exact, or an error; never silently another value."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_sync.core.change import Kind
from cdc_sync.core.values import Unholdable, split_line, to_copy, to_storage
from tests.conftest import Make

SAVED = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=12)
"""Text that both databases can store."""
INTEGERS = st.integers(-(2**63), 2**63 - 1)
SPECIALS = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\"}
"""How the manual of COPY says that these stand in its text format."""
HOSTILE = [
    "",
    "\\N",
    "\\.",
    "\\",
    "\\\\",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "\b\f\v",
    "\\x41",
    "\\101",
    "NULL",
    "Å\u2028\x85é",
    "\x1c\x1d",
]


def as_the_server_writes(values: list[str | None]) -> bytes:
    """A line of COPY text by the rules of PostgreSQL's manual."""
    written = ("\\N" if v is None else "".join("\\" + SPECIALS[c] if c in SPECIALS else c for c in v) for v in values)
    return "\t".join(written).encode()


@given(st.lists(st.none() | SAVED, min_size=1, max_size=5))
def test_a_line_splits_into_the_values_that_the_server_wrote(values: list[str | None]) -> None:
    assert split_line(as_the_server_writes(values)) == [None if v is None else v.encode() for v in values]


@given(st.lists(st.none() | SAVED, min_size=1, max_size=5))
def test_text_that_goes_out_comes_back(values: list[str | None]) -> None:
    line = "\t".join(map(to_copy(Kind.TEXT), values))
    assert "\n" not in line
    assert "\r" not in line
    read = to_storage(Kind.TEXT)
    assert [None if text is None else read(text) for text in split_line(line.encode())] == values


@given(INTEGERS)
def test_integers_go_there_and_back(value: int) -> None:
    assert to_storage(Kind.INTEGER)(to_copy(Kind.INTEGER)(value).encode()) == value


@given(st.floats(allow_nan=False))
def test_doubles_go_there_and_back_to_the_last_bit(value: float) -> None:
    read = to_storage(Kind.FLOAT)(to_copy(Kind.FLOAT)(value).encode())
    assert read == value
    assert math.copysign(1, float(str(read))) == math.copysign(1, value)


@given(st.binary(max_size=30))
def test_bytes_go_there_and_back(value: bytes) -> None:
    (text,) = split_line(to_copy(Kind.BYTES)(value).encode())
    assert text is not None
    assert to_storage(Kind.BYTES)(text) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_a_decimal_is_kept_exactly_or_refused(value: Decimal) -> None:
    text = format(value, "f")
    try:
        kept = to_storage(Kind.NUMERIC)(text.encode())
    except Unholdable:
        return
    assert Decimal(repr(kept)) == value


@given(INTEGERS.filter(lambda value: value > -(2**63)))
def test_a_whole_decimal_becomes_an_integer(value: int) -> None:
    kept = to_storage(Kind.NUMERIC)(f"{value}.00".encode())
    assert (type(kept), kept) == (int, value)


@pytest.mark.parametrize("text", ["0.1000000000000000055511151231257827", "123456789012345.678901", "9" * 400])
def test_a_decimal_that_no_double_holds_is_refused(text: str) -> None:
    with pytest.raises(Unholdable, match="digits"):
        to_storage(Kind.NUMERIC)(text.encode())


@pytest.mark.parametrize(("text", "value"), [("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_an_endless_decimal_becomes_an_endless_double(text: str, value: float) -> None:
    assert to_storage(Kind.NUMERIC)(text.encode()) == value
    assert to_copy(Kind.NUMERIC)(value) == text


@pytest.mark.parametrize("kind", [Kind.FLOAT, Kind.NUMERIC])
def test_not_a_number_is_refused_because_sqlite_would_store_null(kind: Kind) -> None:
    with pytest.raises(Unholdable, match="NaN"):
        to_storage(kind)(b"NaN")


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_goes_there_and_back(value: float) -> None:
    assert to_storage(Kind.FLOAT)(to_copy(Kind.FLOAT)(value).encode()) == value


def test_booleans_become_numbers() -> None:
    assert [to_storage(Kind.BOOLEAN)(text) for text in (b"t", b"f")] == [1, 0]


def test_a_whole_double_in_a_column_of_integers_becomes_one() -> None:
    assert to_copy(Kind.INTEGER)(3.0) == "3"
    with pytest.raises(Unholdable, match="fraction"):
        to_copy(Kind.INTEGER)(3.5)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.BYTES])
def test_a_blob_in_a_column_of_another_kind_is_refused_by_kind_not_by_value(kind: Kind) -> None:
    with pytest.raises(Unholdable, match="BLOB") as caught:
        to_copy(kind)(b"secret")
    assert "secret" not in str(caught.value)


def test_a_nul_character_is_refused_without_the_text_around_it() -> None:
    with pytest.raises(Unholdable, match="NUL") as caught:
        to_copy(Kind.TEXT)("secret\0")
    assert "secret" not in str(caught.value)


def test_a_real_server_writes_and_reads_copy_as_we_do(make_side: Make) -> None:
    side = make_side("postgresql", "server")
    side.script("create table note (id {pk}, body text)")
    side.many("insert into note (body) values (?)", [(text,) for text in HOSTILE])
    with side.connection.cursor().copy("copy (select body, body from note order by id) to stdout") as copy:
        lines = b"".join(copy).split(b"\n")[:-1]
    assert [split_line(line) for line in lines] == [[text.encode()] * 2 for text in HOSTILE]
    side.run("truncate note restart identity")
    with side.connection.cursor().copy("copy note (body) from stdin") as copy:
        copy.write("".join(to_copy(Kind.TEXT)(text) + "\n" for text in [*HOSTILE, None]).encode())
    assert [body for (body,) in side.rows("select body from note order by id")] == [*HOSTILE, None]
