"""doctor tells of keys that are two on one side and one on the other, and of servers that lack characters."""

import uuid
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.commands.conftest import run
from tests.conftest import Make
from tests.nodes import Side, install, write_config

SETUP = "create extension citext; create domain code_text as citext;"
ICU = """create collation loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
create collation "My case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"""
SUBJECT = "create table subject (id {pk}, code %s not null unique, note text);"
KEYS = {
    "NOCASE": ("sqlite", "text", "sqlite", "text collate nocase", "! ", "only in the case of A to Z", "collate binary"),
    "RTRIM": ("sqlite", "text", "sqlite", "text collate rtrim", "- ", "only in blanks at the end", "collate binary"),
    "citext": ("sqlite", "text", "postgresql", "citext", "! ", "only in case", 'type text collate "C"'),
    "a domain": ("sqlite", "text", "postgresql", "code_text", "! ", "only in case", 'type text collate "C"'),
    "accents": (
        "sqlite",
        "text",
        "postgresql",
        "text collate loose",
        "! ",
        "what collation loose ignores",
        "column code",
    ),
    "server to file": ("postgresql", "text", "sqlite", "text collate nocase", "! ", "the case of A to Z", "rebuild"),
    "fixed width": ("sqlite", "text", "postgresql", "char(9)", "- ", "blanks at the end", "column code type text"),
    "looser here": ("sqlite", "text collate nocase", "postgresql", "text", "- ", "tells keys apart", "one spelling"),
    "less loose there": (
        "postgresql",
        "citext",
        "sqlite",
        "text collate nocase",
        "- ",
        "tells keys apart",
        "one spelling",
    ),
    "looser than here": ("sqlite", "text collate nocase", "postgresql", "citext", "! ", "only in case", "column code"),
}
SAME = (
    ("sqlite", "text", "postgresql", "text"),
    ("sqlite", "text collate nocase", "sqlite", "text collate nocase"),
    ("postgresql", "citext", "postgresql", "code_text"),
    ("postgresql", 'text collate "My case"', "postgresql", 'text collate "My case"'),
    ("postgresql", "char(3)", "postgresql", "char(5)"),
)


def examined(make_side: Make, folder: Path, here: tuple[str, str], there: tuple[str, str]) -> tuple[int, list[str]]:
    """doctor's exit code and lines, for a source and a target with keys of these types."""
    sides = [make_side(kind, name) for (kind, _), name in zip((here, there), ("source", "target"), strict=True)]
    for side, (_, declared) in zip(sides, (here, there), strict=True):
        side.script(SETUP if side.kind == "postgresql" else "")
        if "collate" in declared and side.kind == "postgresql":
            _make_collations(side)
        side.script(SUBJECT % declared)
    config = write_config(folder, "laptop", *sides, {"subject": ["code"]})
    install(config)
    result = run("doctor", config)
    return result.exit_code, result.stdout.splitlines()


def _make_collations(side: Side) -> None:
    try:
        side.script(ICU)
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(f"this server has no ICU: {error}")


@pytest.mark.parametrize("case", KEYS)
def test_keys_that_are_two_on_one_side_only_are_told_with_what_mends_it(
    make_side: Make, tmp_path: Path, case: str
) -> None:
    here, declared, there, target, mark, message, mend = KEYS[case]
    code, lines = examined(make_side, tmp_path, (here, declared), (there, target))
    found = [(line, lines[i + 1]) for i, line in enumerate(lines) if "key column 'code' of table 'subject'" in line]
    assert len(found) == 1, lines
    assert found[0][0].startswith(mark), lines
    assert message in found[0][0]
    assert mend in found[0][1]
    assert code == (3 if mark == "! " else 0)


@pytest.mark.parametrize("case", SAME)
def test_keys_that_both_sides_compare_alike_are_no_finding(
    make_side: Make, tmp_path: Path, case: tuple[str, str, str, str]
) -> None:
    code, lines = examined(make_side, tmp_path, case[:2], case[2:])
    assert code == 0
    assert not any("key column" in line for line in lines)


def test_a_server_that_cannot_hold_every_character_is_told(server: sa.URL, make_side: Make, tmp_path: Path) -> None:
    name = f"latin_{uuid.uuid4().hex[:8]}"
    maintenance = server.render_as_string(hide_password=False)
    with psycopg.connect(maintenance, autocommit=True) as connection:
        connection.execute(
            f"create database {name} encoding 'LATIN1' locale 'C' locale_provider libc template template0".encode()
        )
    source = make_side("sqlite", "source")
    target = Side("postgresql", server.set(database=name).render_as_string(hide_password=False), tmp_path)
    try:
        for side in (source, target):
            side.script(SUBJECT % "text")
        config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
        install(config)
        result = run("doctor", config)
    finally:
        target.close()
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)".encode())
    assert "its encoding is LATIN1" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [("bigint", "interval", True), ("text", "date", True), ("integer", "boolean", True), ("char(32)", "uuid", False)],
)
def test_a_column_of_which_the_two_sides_think_differently_is_told(
    make_side: Make, tmp_path: Path, here: str, there: str, *, told: bool
) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    source.script(f"create table visit (id {{pk}}, code text not null unique, value {here})")
    target.script(f"create table visit (id {{pk}}, code text not null unique, value {there})")
    config = write_config(tmp_path, "laptop", source, target, {"visit": ["code"]})
    install(config)
    result = run("doctor", config)
    assert result.exit_code == 0
    assert (f"column 'value' of table 'visit' is {there}" in result.stdout) is told
