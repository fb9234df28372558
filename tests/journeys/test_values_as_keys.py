"""As a key, a value of every PostgreSQL type finds its row, can be renamed, and changes places or says it cannot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cdc_sync.core.letters import State
from tests.journeys.conftest import HOSTILE, OWN_TYPES, Pair, pinned
from tests.nodes import Row, install, letters, replicate, write_config

KEYS: Mapping[str, Sequence[str]] = {
    "numeric": ("1.10", "1e-30", "1234567890123456789012345678901234567890"),
    "bigint": ("9007199254740993", "9007199254740992", "-9223372036854775808"),
    "float8": ("0.1", "0.30000000000000004", "-Infinity"),
    "text": ("a\tb\\", "😀", ""),
    "char(5)": ("ab", "abc", "b"),
    "varchar(1)": ("a", "b", "c"),
    "citext": ("Mixed", "other", "OTHER2"),
    "date": ("2024-02-29", "0044-03-15 BC", "-infinity"),
    "timestamptz": ("2024-03-31 01:30:00+00", "2024-03-31 01:30:00.000001+00", "-infinity"),
    "uuid": [f"00000000-0000-4000-8000-00000000000{i}" for i in range(3)],
}
HARD_KEYS: Mapping[str, Sequence[str]] = {
    "numeric(3,0)": ("-999", "999", "0"),
    "numeric check (value > 0)": ("1", "2", "3"),
    "text check (value in ('a', 'b', 'c'))": ("a", "b", "c"),
    "timestamp": ("-infinity", "infinity", "2024-02-29 00:00:00"),
    "time": ("00:00", "24:00", "12:00"),
    "bytea": ("\\x00", "\\x0001", "\\x"),
    "inet": ("10.0.0.1", "10.0.0.1/24", "::1"),
    "mood": ("so so", "it's", ""),
    "percent": ("1", "2", "3"),
    "int4range": ("[1,2)", "empty", "(,)"),
}
"""Values at the ends of what their types and checks allow."""

NO_SPARE = ("numeric(3,0)", "text check (value in ('a', 'b', 'c'))", "timestamp", "time", "inet", "mood", "int4range")
"""Of these no value is free, or none is found, to move a row aside while two change places."""

WITH_SPARE = {declared: keys for declared, keys in HARD_KEYS.items() if declared not in NO_SPARE}


class Keyed:
    """A table for each type, keyed by it, with rows 0 and 1 at the first two keys."""

    def __init__(self, pair: Pair, folder: Path, types: Mapping[str, Sequence[str]]) -> None:
        self.source, self.target = pair
        self.keys = {f"t{i}": keys for i, keys in enumerate(types.values())}
        for side in pair:
            side.script(OWN_TYPES + "create extension citext;" + "".join(map(_keyed_table, self.keys, types)))
        for table in self.keys:
            self.target.run(f"alter table {table} alter id restart with 70")
        self.config = write_config(folder, "clinic", *pair, {table: ["k"] for table in self.keys})
        install(self.config)
        self.source.script(HOSTILE)
        for table, keys in self.keys.items():
            rows = [(key, i) for i, key in enumerate(keys[:2])]
            self.source.many(f"insert into public.{table} (k, n) values (?, ?)", rows)

    def send(self) -> dict[str, list[Row]]:
        """Replicate and compare; returns the server's ids."""
        replicate(self.config)
        for table in self.keys:
            query = f"select k::text, n from {table} order by k"
            assert pinned(self.target, query) == pinned(self.source, query)
        return {table: self.target.rows(f"select id, n from {table} order by n") for table in self.keys}

    def rename(self, table: str, old: str, new: str) -> None:
        self.source.run(f"update public.{table} set k = ? where k = ?", (new, old))


def _keyed_table(table: str, declared: str) -> str:
    declared, _, check = declared.partition(" check ")
    check = check and "check " + check.replace("value", "k")
    return f"create table {table} (id {{pk}}, k {declared} not null unique {check}, n int);"


@pytest.mark.parametrize("types", [KEYS, HARD_KEYS], ids=["easy", "hard"])
def test_a_key_of_every_postgresql_type_finds_its_row_and_can_be_renamed(
    postgres: Pair, tmp_path: Path, types: Mapping[str, Sequence[str]]
) -> None:
    keyed = Keyed(postgres, tmp_path, types)
    before = keyed.send()
    for table, (first, second, third) in keyed.keys.items():
        keyed.source.run(f"delete from public.{table} where k = ?", (second,))
        keyed.rename(table, first, third)
    assert keyed.send() == {table: ids[:1] for table, ids in before.items()}


def test_a_key_can_be_renamed_to_the_last_free_value_while_its_former_row_is_deleted(
    postgres: Pair, tmp_path: Path
) -> None:
    keyed = Keyed(postgres, tmp_path, {"boolean": ("f", "t")})
    before = keyed.send()
    keyed.source.run("delete from public.t0 where k")
    keyed.rename("t0", "f", "t")
    assert keyed.send() == {"t0": before["t0"][:1]}


@pytest.mark.parametrize("types", [KEYS, WITH_SPARE], ids=["easy", "hard"])
def test_two_keys_can_change_places(postgres: Pair, tmp_path: Path, types: Mapping[str, Sequence[str]]) -> None:
    keyed = Keyed(postgres, tmp_path, types)
    before = keyed.send()
    change_places(keyed)
    assert keyed.send() == before


@pytest.mark.parametrize("declared", NO_SPARE)
def test_two_keys_that_cannot_change_places_wait_and_say_so(postgres: Pair, tmp_path: Path, declared: str) -> None:
    keyed = Keyed(postgres, tmp_path, {declared: HARD_KEYS[declared]})
    keyed.send()
    held = keyed.target.rows("select id, k::text from public.t0 order by id")
    change_places(keyed)
    replicate(keyed.config)
    assert keyed.target.rows("select id, k::text from public.t0 order by id") == held
    assert {letter.state for letter in letters(keyed.target)} == {State.HELD}


def change_places(keyed: "Keyed") -> None:
    """Swap the first two keys of every table through the third, in one transaction each."""
    for table, (first, second, third) in keyed.keys.items():
        with keyed.source.transaction():
            for old, new in ((first, third), (second, first), (third, second)):
                keyed.rename(table, old, new)
