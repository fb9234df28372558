"""Random statements with every conflict clause of SQLite, under different settings: the server follows."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nodes import Shape, Side, by_natural_key, install, replicate, status, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, phone text unique, bed integer, ward text, note text,
    unique (ward, bed));
create table visit (
    id {pk}, code text not null, note text,
    subject_id integer not null references subject (id) on delete cascade on update cascade,
    unique (subject_id, code));
"""
SHAPES = (
    Shape("subject", ("code",), ("phone", "bed", "ward", "note")),
    Shape("visit", ("subject_id>subject.code", "code"), ("note",)),
)
CLAUSES = ["", "or replace", "or replace", "or ignore", "or fail", "or abort", "or rollback"]
UPSERTS = [
    "",
    "on conflict do nothing",
    "on conflict (code) do update set note = 'met', phone = excluded.phone",
    "on conflict (phone) do update set code = excluded.code",
]

ids = st.one_of(st.none(), st.integers(1, 5))
codes = st.sampled_from("abcde")
phones = st.one_of(st.none(), st.sampled_from("pqrs"))
beds = st.integers(1, 3)
Statement = tuple[str, tuple[Any, ...]]


@st.composite
def subjects(draw: st.DrawFn) -> Statement:
    rows = draw(st.lists(st.tuples(ids, codes, phones, beds, st.sampled_from("vw")), min_size=1, max_size=3))
    marks = ", ".join(["(?, ?, ?, ?, ?, 'new')"] * len(rows))
    clause = draw(st.sampled_from(CLAUSES))
    upsert = "" if clause else draw(st.sampled_from(UPSERTS))
    text = f"insert {clause} into subject (id, code, phone, bed, ward, note) values {marks} {upsert}"
    return text, tuple(value for row in rows for value in row)


@st.composite
def updates(draw: st.DrawFn) -> Statement:
    column, value = draw(
        st.sampled_from(["id", "code", "phone", "bed", "note"]).flatmap(
            lambda c: st.tuples(
                st.just(c), {"id": st.integers(1, 5), "code": codes, "phone": phones, "bed": beds}.get(c, st.just("x"))
            )
        )
    )
    clause, where = draw(st.sampled_from(CLAUSES)), draw(st.sampled_from(["id < ?", "id = ?", "code > ?"]))
    bound = draw(codes) if where.startswith("code") else draw(st.integers(1, 6))
    return f"update {clause} subject set {column} = ? where {where}", (value, bound)


@st.composite
def visits(draw: st.DrawFn) -> Statement:
    text = "insert or replace into visit (subject_id, code, note) select id, ?, 'new' from subject where code = ?"
    return text, (draw(st.sampled_from("xy")), draw(codes))


deletes = st.tuples(st.just("delete from subject where code = ?"), st.tuples(codes))
shifts = st.just(("update or replace subject set id = id + 1", ()))
savepoints = st.sampled_from([("savepoint s", ()), ("rollback to s", ()), ("release s", ())])
statements = st.one_of(subjects(), subjects(), updates(), visits(), deletes, shifts, savepoints)
transactions = st.tuples(st.booleans(), st.lists(statements, min_size=1, max_size=6), st.booleans())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_after_random_conflicts_the_server_equals_the_source(
    make_side: Callable[..., Side], tmp_path: Path, kind: str
) -> None:
    source, target = make_side("sqlite", "source"), make_side(kind, "target")
    ran = 0

    @given(st.lists(transactions, min_size=1, max_size=5))
    def holds(program: list[tuple[bool, list[Statement], bool]]) -> None:
        nonlocal ran
        play(source, target, tmp_path, program)
        ran += 1

    holds()
    assert ran >= settings().max_examples


def play(source: Side, target: Side, folder: Path, program: list[tuple[bool, list[Statement], bool]]) -> None:
    for side in (source, target):
        side.clear()
        side.script(SCHEMA)
    config = write_config(folder, "laptop", source, target, {"subject": ["code"], "visit": ["subject_id", "code"]})
    install(config)
    for recursive, steps, drain in program:
        transact(source, recursive, steps)
        if drain:
            replicate(config)
    replicate(config)
    for shape in SHAPES:
        assert by_natural_key(target, shape) == by_natural_key(source, shape)
    assert not status(config).waiting


def transact(source: Side, recursive: bool, steps: list[Statement]) -> None:
    """Run a transaction; what the database refuses, it refuses, and the transaction goes on if it still can."""
    source.run(f"pragma recursive_triggers = {'on' if recursive else 'off'}")
    source.run("begin")
    for text, values in steps:
        try:
            source.run(text, values)
        except sqlite3.Error:
            if not source.connection.in_transaction:
                return
    source.run("commit")
