"""Random SQLite programs: every way to write, by connections with different settings, amid changes of the schema.

A program is a schema and a list of turns. Each turn is one connection's transaction, or one statement of a migration;
after some of them the node replicates. What the database refuses, it refuses: the program goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Statement = tuple[str, tuple[Any, ...]]

IDENTITIES = {
    "rowid": "id integer primary key",
    "autoincrement": "id integer primary key autoincrement",
    "without rowid": "id integer not null primary key",
}
TRIGGERS = (
    "create trigger {name} after insert on subject begin update subject set {note} = 'stamped' where id = new.id; end",
    "create trigger {name} after update of bed on subject begin update subject set ward = 'w' where id = new.id; end",
    "create trigger {name} before update of phone on subject begin update subject set bed = 9 where id = old.id; end",
    "create trigger {name} before insert on subject when new.code = 'e' begin select raise(ignore); end",
    'create trigger {name} after delete on subject begin delete from "The ""B"" visit" where subject_id is null; end',
    """create trigger {name} after insert on "The ""B"" visit" begin
        update subject set bed = bed + 1 where id = new.subject_id; end""",
    """create trigger {name} after delete on "The ""B"" visit" begin
        insert or replace into subject (code, phone) values ('f', 'p'); end""",
    """create trigger {name} instead of insert on people begin
        insert or replace into subject (id, code, phone) values (new.id, new.code, new.phone); end""",
)
"""Of the application. The placeholders are their own name, and what the column of remarks is called by now."""

MIGRATIONS = (
    "add",
    "fill",
    "rename column",
    "rename table",
    "rebuild",
    "rebuild with another type",
    "index",
    "unindex",
    "lose triggers",
    "pause",
    "resume",
)


@dataclass(frozen=True)
class Schema:
    """The variants of the two tables, and the application's triggers from before ours (and, named later, after)."""

    identity: str
    strict: bool
    replacing: bool
    collated: bool
    generated: str
    action: str
    wal: bool
    before: Sequence[int]
    after: Sequence[int]

    def ddl(self) -> list[str]:
        """The source's tables."""
        options = [*(["strict"] if self.strict else []), *(["without rowid"] if "out" in self.identity else [])]
        conflict = " on conflict replace" if self.replacing else ""
        doubled = f", doubled integer generated always as (bed * 2) {self.generated}" if self.generated else ""
        collation = " collate nocase" if self.collated else ""
        subject = f"""create table subject ({IDENTITIES[self.identity]},
            code text{collation} not null unique{conflict}, phone text unique, bed integer, ward text, note text,
            spare text{doubled}, unique (ward, bed)) {", ".join(options)}"""
        visit = f"""create table "The ""B"" visit" (id integer primary key, "Select" text not null, note text,
            subject_id integer not null references subject (id) on delete {self.action} on update cascade
            deferrable initially deferred, unique (subject_id, "Select"))"""
        people = "create view people as select id, code, phone from subject"
        return [subject, visit, people, *self.triggers(self.before, "before")]

    def triggers(self, numbers: Sequence[int], name: str) -> list[str]:
        return [TRIGGERS[number].format(name=f"{name}_{number}", note="note") for number in numbers]


TARGET = """
create table subject (id {pk}, code text not null unique, phone text unique, bed integer, ward text, note text,
    spare text, unique (ward, bed));
create table "The ""B"" visit" (id {pk}, "Select" text not null, note text, subject_id integer not null
    references subject (id) on delete cascade on update cascade, unique (subject_id, "Select"));
"""


@dataclass(frozen=True)
class Turn:
    """``settings`` are the connection's, one of three; a migration stands alone."""

    connection: int
    begin: str
    statements: Sequence[Statement]
    commits: bool
    migration: str
    replicate: bool


@dataclass(frozen=True)
class Program:
    schema: Schema
    turns: Sequence[Turn]


SETTINGS = (
    (),
    ("pragma recursive_triggers = on", "pragma foreign_keys = on"),
    ("pragma trusted_schema = off", "pragma foreign_keys = on", "pragma recursive_triggers = off"),
)
"""By connection: as a program that sets nothing, with everything on, and distrustful."""

CLAUSES = ("", "", "or replace", "or replace", "or ignore", "or fail", "or abort", "or rollback")
UPSERTS = (
    "",
    "on conflict do nothing",
    "on conflict (code) do update set {note} = 'met', phone = excluded.phone",
    "on conflict (code) do update set code = upper(code), id = id + 10",
    "on conflict (phone) do update set code = excluded.code where bed > 1",
)
ids = st.one_of(st.none(), st.integers(1, 5))
codes = st.sampled_from("abcdeA")
phones = st.one_of(st.none(), st.sampled_from("pqrs"))
beds = st.integers(1, 3)
wards = st.sampled_from("vw")
TEXTS = ("new", "unique", "7", None)
"""Remarks that every database can hold."""

VALUES = (*TEXTS, 1.5, b"\x00\xff", 7, "x\x00y")
"""Remarks that SQLite keeps in a column of text."""


@st.composite
def inserts(draw: st.DrawFn, notes: st.SearchStrategy[object]) -> Statement:
    rows = draw(st.lists(st.tuples(ids, codes, phones, beds, wards, notes), min_size=1, max_size=3))
    clause = draw(st.sampled_from(CLAUSES))
    upsert = "" if clause else draw(st.sampled_from(UPSERTS))
    returning = draw(st.sampled_from(["", "", "returning id, code"]))
    marks = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(rows))
    text = f"insert {clause} into subject (id, code, phone, bed, ward, {{note}}) values {marks} {upsert} {returning}"
    return text, tuple(value for row in rows for value in row)


@st.composite
def updates(draw: st.DrawFn, notes: st.SearchStrategy[object]) -> Statement:
    column = draw(st.sampled_from(["id", "code", "phone", "bed", "{note}", "spare"]))
    value = draw({"id": st.integers(1, 5), "code": codes, "phone": phones, "bed": beds}.get(column, notes))
    where = draw(st.sampled_from(["id < ?", "id = ?", "code > ?"]))
    bound = draw(codes if where.startswith("code") else st.integers(1, 6))
    returning = draw(st.sampled_from(["", "", "returning code, phone"]))
    return f"update {draw(st.sampled_from(CLAUSES))} subject set {column} = ? where {where} {returning}", (value, bound)


@st.composite
def visits(draw: st.DrawFn, notes: st.SearchStrategy[object]) -> Statement:
    verb = draw(st.sampled_from(["insert", "insert or replace", "insert or ignore", "replace"]))
    text = f'{verb} into "The ""B"" visit" (subject_id, "Select", note) select id, ?, ? from subject where code <= ?'
    return text, (draw(st.sampled_from("xy")), draw(notes), draw(codes))


def _plain(*texts: str) -> st.SearchStrategy[Statement]:
    return st.sampled_from([(text, ()) for text in texts])


@st.composite
def deletes(draw: st.DrawFn) -> Statement:
    """Of some rows, or of all, which SQLite does without looking at them where no trigger is there."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(["delete from subject", 'delete from "The ""B"" visit"'])), ()
    return "delete from subject where code = ? or id = ?", (draw(codes), draw(ids))


shuffles = _plain(
    "update subject set id = id + 1",
    "update or replace subject set id = id + 1",
    "update or replace subject set phone = 'p'",
    "update subject set code = code",
    "update subject set id = -id",
    "with twice as (select * from subject) insert or replace into subject (code, phone) select code, phone from twice",
    'update "The ""B"" visit" set subject_id = (select max(id) from subject)',
    'update or replace "The ""B"" visit" set "Select" = \'x\'',
    "insert into people (id, code, phone) values (2, 'b', 'q'), (7, 'g', 'q')",
)
savepoints = _plain("savepoint s", "rollback to s", "release s")


def statements(values: Sequence[object]) -> st.SearchStrategy[Statement]:
    notes = st.sampled_from(values)
    writing = [inserts(notes), updates(notes), visits(notes)]
    return st.one_of(*writing, *writing, deletes(), shuffles, shuffles, savepoints)


@st.composite
def turns(draw: st.DrawFn, values: Sequence[object]) -> Turn:
    migration = draw(st.sampled_from(MIGRATIONS)) if draw(st.integers(0, 4)) == 4 else ""
    return Turn(
        connection=draw(st.integers(0, len(SETTINGS) - 1)),
        begin=draw(st.sampled_from(["begin", "begin immediate", ""])),
        statements=() if migration else draw(st.lists(statements(values), min_size=1, max_size=6)),
        commits=draw(st.integers(0, 4)) != 0,
        migration=migration,
        replicate=draw(st.booleans()),
    )


numbers = st.lists(st.integers(0, len(TRIGGERS) - 1), max_size=2, unique=True)
schemas = st.builds(
    Schema,
    identity=st.sampled_from(list(IDENTITIES)),
    strict=st.booleans(),
    replacing=st.booleans(),
    collated=st.booleans(),
    generated=st.sampled_from(["", "virtual", "stored"]),
    action=st.sampled_from(["cascade", "no action", "restrict"]),
    wal=st.booleans(),
    before=numbers,
    after=numbers,
)


def programs(values: Sequence[object]) -> st.SearchStrategy[Program]:
    """``values`` are the remarks that the server can hold."""
    return st.builds(Program, schemas, st.lists(turns(values), min_size=1, max_size=7))
