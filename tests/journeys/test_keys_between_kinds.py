"""A key finds its row as the target compares keys, however the source spells it; and keys that are two stay two."""

from pathlib import Path

import pytest

from tests.conftest import Make
from tests.nodes import Row, Side, install, replicate, write_config

UUID = "ffffffff-ffff-4fff-bfff-ffffffffffff"
SPELLED = {
    "uuid as hex": ("sqlite", "char(32)", UUID.replace("-", ""), "postgresql", "uuid", UUID),
    "uuid as bytes": ("sqlite", "blob", bytes.fromhex(UUID.replace("-", "")), "postgresql", "uuid", UUID),
    "uuid in capitals": ("sqlite", "text", UUID.upper(), "postgresql", "uuid", UUID),
    "uuid from a server": ("postgresql", "uuid", UUID, "sqlite", "char(32)", UUID.replace("-", "")),
    "an instant": (
        "sqlite",
        "text",
        "2026-01-01T15:30:00+05:30",
        "postgresql",
        "timestamptz",
        "2026-01-01 10:00:00+00",
    ),
    "a moment": ("postgresql", "timestamptz", "2026-01-01 10:00+00", "sqlite", "datetime", "2026-01-01 10:00:00"),
    "a decimal": ("sqlite", "decimal(5,2)", 1.1, "postgresql", "numeric(5,2)", "1.10"),
    "a decimal from a server": ("postgresql", "numeric(5,2)", "1.10", "sqlite", "decimal(5,2)", 1.1),
    "another case": ("sqlite", "text", "Ab", "postgresql", "citext", "aB"),
    "another case in a file": ("postgresql", "text", "Ab", "sqlite", "text collate nocase", "aB"),
    "fixed width": ("sqlite", "char(4)", "ab", "postgresql", "char(4)", "ab"),
}


def keyed(side: Side, declared: str) -> None:
    if side.kind == "postgresql":
        side.run("create extension citext")
    side.script(f"create table subject (id {{pk}}, code {declared} not null unique, note text);")


@pytest.mark.parametrize("case", SPELLED)
def test_a_key_that_is_spelled_otherwise_finds_its_row(make_side: Make, tmp_path: Path, case: str) -> None:
    here, declared, key, there, target_type, target_key = SPELLED[case]
    source, target = make_side(here, "source"), make_side(there, "target")
    keyed(source, declared)
    keyed(target, target_type)
    target.run("insert into subject (id, code, note) values (70, ?, 'server')", (target_key,))
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)

    def noted() -> list[Row]:
        replicate(config)
        return target.rows("select id, note from subject")

    source.run("insert into subject (id, code, note) values (1, ?, 'first')", (key,))
    assert noted() == [(70, "first")]
    source.run("update subject set note = 'second' where id = 1")
    assert noted() == [(70, "second")]
    source.run("delete from subject where id = 1")
    assert noted() == []


def test_keys_that_differ_in_bytes_alone_stay_two(pair: tuple[Side, Side], tmp_path: Path) -> None:
    """Composed and decomposed letters, blanks and case: nothing is normalised on the way."""
    source, target = pair
    keys = ["\u00e9", "e\u0301", "\u00c9", "\u212b", "\u00c5", "a", "A", "a ", " a", "\u017f", "s", "ß", "ss"]
    for side in pair:
        side.script("create table subject (id {pk}, code varchar(9) not null unique, note text);")
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    source.many("insert into subject (code, note) values (?, ?)", [(key, str(i)) for i, key in enumerate(keys)])
    replicate(config)
    assert dict(target.rows("select code, note from subject")) == {key: str(i) for i, key in enumerate(keys)}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", ["another case", "another case in a file"])
def test_two_keys_that_are_one_to_the_server_are_written_down_as_a_conflict(
    make_side: Make, tmp_path: Path, name: str, together: bool
) -> None:
    here, declared, first, there, target_type, second = SPELLED[name]
    source, target = make_side(here, "source"), make_side(there, "target")
    keyed(source, declared)
    keyed(target, target_type)
    config = write_config(tmp_path, "laptop", source, target, {"subject": ["code"]})
    install(config)
    insert = "insert into subject (code, note) values (?, ?)"
    source.run(insert, (first, "one"))
    if not together:
        replicate(config)
    source.run(insert, (second, "two"))
    replicate(config)
    assert target.rows("select code, note from subject") == [(second, "two")]
    conflicts = "cdc_sync.conflict" if there == "postgresql" else "cdc_sync_conflict"
    assert target.rows(f"select kind, met_origin, outcome from {conflicts}") == [("insert_exists", "laptop", "source")]
    source.run("update subject set note = 'again' where code = ?", (second,))
    replicate(config)
    assert target.rows(f"select count(*) from {conflicts}") == [(1,)]
