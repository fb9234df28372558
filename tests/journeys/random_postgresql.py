"""Random PostgreSQL programs: every way to write, by sessions whose transactions overlap, amid changes of the schema.

A program is a schema and a list of turns. In each turn one session goes on with its transaction or begins one; after
some of them the node replicates. What the database refuses, it refuses: the program goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.nodes import Tables

TRIGGERS = (
    ("before update on subject for each row", "new.note := coalesce(new.note, '') || '.'; return new;"),
    ("before insert on subject for each row", "if new.code = 'e' then return null; end if; return new;"),
    ("before update of phone on subject for each row", "new.code := new.code || 'x'; return new;"),
    ("after insert on subject for each row", "update subject set bed = 8 where id = new.id; return null;"),
    (
        "after update on subject for each row when (old.bed is distinct from new.bed)",
        "update subject set note = 'moved' where id = new.id; return null;",
    ),
    ("after delete on subject for each row", "insert into sample values (old.code, 2010, 'left'); return null;"),
    ("after insert on visit for each statement", "update subject set bed = 1 where bed = 2; return null;"),
    ("before delete on visit for each row", "update subject set phone = null where id = old.subject_id; return old;"),
)
"""Of the application: when they fire, and what they do."""

PARTITIONED = """
create table sample (code text not null, year integer not null, note text, primary key (code, year))
    partition by range (year);
create table sample_old partition of sample for values from (2000) to (2020);
create table sample_new (note text, year integer not null, code text not null, primary key (code, year))
    partition by list (code);
create table sample_new_a partition of sample_new for values in ('a', 'b');
create table sample_new_rest partition of sample_new default;
alter table sample attach partition sample_new for values from (2020) to (2040);
"""
INHERITED = """
create table sample (code text not null, year integer not null, note text, primary key (code, year));
create table sample_old (extra text, primary key (code, year)) inherits (sample);
create table sample_new (primary key (code, year)) inherits (sample);
create table sample_new_a (primary key (code, year)) inherits (sample_new);
create function apart() returns trigger language plpgsql as $$ begin
    new.code := left(new.code, 1) || replace(tg_table_name, 'sample', ''); return new; end $$;
create trigger apart before insert or update on sample for each row execute function apart();
create trigger apart before insert or update on sample_old for each row execute function apart();
create trigger apart before insert or update on sample_new for each row execute function apart();
create trigger apart before insert or update on sample_new_a for each row execute function apart();
alter table sample enable always trigger apart;
alter table sample_old enable always trigger apart;
alter table sample_new enable always trigger apart;
alter table sample_new_a enable always trigger apart;
"""
"""No key is unique over children, so each table has codes of its own, in every session."""
SAMPLES = {"partitioned": PARTITIONED, "inherited": INHERITED}
VIEWS = """
create view people as select id, code, phone, bed from subject where bed < 8;
create view loud as select upper(code) as code, phone from subject;
create function loudly() returns trigger language plpgsql as $$ begin
    insert into subject (code, phone) values (lower(new.code), new.phone) on conflict do nothing; return new; end $$;
create trigger loudly instead of insert on loud for each row execute function loudly();
create table request (code text, note text);
create rule asked as on insert to request do instead update subject set note = new.note where code = new.code;
"""
TARGET = """
create table subject (id {pk}, code text not null unique, phone text unique, bed integer, note text, big text);
create table visit (id {pk}, code text not null, note text, subject_id integer not null
    references subject (id) on delete cascade on update cascade, unique (subject_id, code));
create table sample (code text not null, year integer not null, note text, primary key (code, year));
"""


@dataclass(frozen=True)
class Schema:
    """The variants of the tables, and the application's triggers."""

    identity: str
    shifting: bool
    deferred: bool
    action: str
    generated: str
    samples: str
    capture: str
    skip_unchanged: bool
    triggers: Sequence[int]

    def ddl(self) -> str:
        later = " deferrable initially deferred" if self.deferred else ""
        shifting = " deferrable" if self.shifting else ""
        subject = f"""create table subject (id integer generated {self.identity} as identity primary key{shifting},
            code text not null unique{shifting}, phone text unique{later}, bed integer, note text, big text,
            doubled integer generated always as (bed * 2) {self.generated});"""
        parent = f" references subject (id) on delete {self.action} on update cascade{later}"
        visit = f"""create table visit (id integer generated by default as identity primary key, code text not null,
            note text, subject_id integer not null{"" if self.shifting else parent}, unique (subject_id, code));"""
        return subject + visit + SAMPLES[self.samples] + VIEWS + "".join(map(self._trigger, self.triggers))

    @property
    def tables(self) -> Tables:
        """What is configured. A deferrable primary key cannot be referred to, so there are no visits then."""
        settings = {"capture": self.capture, "skip_unchanged": self.skip_unchanged}
        visits: Tables = {} if self.shifting else {"visit": ["subject_id", "code"]}
        return {"subject": {"key": ["code"], **settings}, **visits, "sample": ["code", "year"]}

    def _trigger(self, number: int) -> str:
        moment, body = TRIGGERS[number]
        name = f"app_{number}" if number % 2 else f"zzz_{number}"
        return f"""create function {name}() returns trigger language plpgsql as $$ begin {body} end $$;
            create trigger {name} {moment} execute function {name}();"""


@dataclass(frozen=True)
class Turn:
    """``end`` is commit, rollback, prepare or nothing: then the transaction stays open. A migration goes in between."""

    session: int
    statements: Sequence[str]
    migration: str
    after: Sequence[str]
    end: str
    replicate: bool


@dataclass(frozen=True)
class Program:
    schema: Schema
    turns: Sequence[Turn]


HOSTILE = """
create schema hostile;
create function hostile.current_setting(text, boolean) returns text language sql as $$ select 'on' $$;
create function hostile.nextval(text) returns bigint language sql as $$ select 1::bigint $$;
create function hostile.now() returns timestamptz language sql as $$ select '-infinity'::timestamptz $$;
create operator hostile.= (leftarg = text, rightarg = text, function = pg_catalog.textne);
"""
SESSIONS = (
    "",
    """set search_path = hostile, public, pg_catalog; set datestyle = 'SQL, DMY'; set intervalstyle = 'sql_standard';
    set timezone = 'Asia/Kathmandu'; set extra_float_digits = -5; set bytea_output = 'escape'""",
    "set session authorization {guest}",
    "set session_replication_role = replica",
)
"""By session: as a program that sets nothing, hostile, with rights on the tables only, and as another replication."""

REPLICA = 3
"""The session under which foreign keys are not checked, nor is what is deferrable unique."""

MIGRATIONS = (
    "add",
    "fill",
    "drop",
    "rename",
    "retype",
    "attach",
    "detach",
    "rename branch",
    "alter branch",
    "pause",
    "resume",
)
codes = st.sampled_from("abcde")
phones = st.sampled_from(["null", "'p'", "'q'", "'r'"])
beds = st.integers(1, 3)
ids = st.integers(1, 5)
notes = st.sampled_from(["null", "'new'", "'it''s'", "E'tab\\tback\\\\slash\\nline'"])
bigs = st.sampled_from(["null", "'small'", "repeat('large ', 2000)"])
CONFLICTS = (
    "",
    "",
    "on conflict do nothing",
    "on conflict (code) do update set {note} = 'met', phone = excluded.phone",
    "on conflict (phone) do update set code = subject.code || 'y'",
)


@st.composite
def inserts(draw: st.DrawFn) -> str:
    count = draw(st.integers(1, 3))
    rows = [f"('{draw(codes)}', {draw(phones)}, {draw(beds)}, {draw(notes)}, {draw(bigs)})" for _ in range(count)]
    conflict = draw(st.sampled_from(CONFLICTS))
    if draw(st.booleans()):
        return f"insert into subject (code, phone, bed, {{note}}, big) values {', '.join(rows)} {conflict}"
    row = f"{draw(ids)}, '{draw(codes)}', {draw(phones)}, {draw(beds)}"
    return f"insert into subject (id, code, phone, bed) overriding system value values ({row}) {conflict}"


@st.composite
def updates(draw: st.DrawFn) -> str:
    change = draw(
        st.one_of(
            codes.map("code = '{}'".format),
            phones.map("phone = {}".format),
            beds.map("bed = {}".format),
            bigs.map("big = {}".format),
            ids.map("id = {}".format),
            st.just("{note} = {note}"),
        )
    )
    where = draw(st.one_of(codes.map("code = '{}'".format), beds.map("bed <= {}".format), st.just("true")))
    return f"update subject set {change} where {where}"


@st.composite
def merges(draw: st.DrawFn) -> str:
    rows = ", ".join(
        f"('{code}', {draw(phones)}, {draw(beds)})" for code in draw(st.lists(codes, min_size=1, max_size=3))
    )
    return f"""merge into subject s using (values {rows}) v (code, phone, bed) on s.code = v.code
        when matched and v.bed = 1 then delete
        when matched then update set phone = v.phone, code = s.code || v.bed
        when not matched and v.bed = 3 then do nothing
        when not matched then insert (code, phone, bed) values (v.code, v.phone, v.bed)"""


@st.composite
def samples(draw: st.DrawFn) -> str:
    table = draw(st.sampled_from(["sample", "sample", "sample_old", "sample_new", "sample_new_a"]))
    only = draw(st.sampled_from(["", "", "only "]))
    code, year = draw(codes), draw(st.sampled_from([2001, 2010, 2021, 2030]))
    return draw(
        st.sampled_from(
            [
                f"insert into {table} (code, year, note) values ('{code}', {year}, 'new')",
                f"""insert into {table} (code, year) values ('{code}', {year}) on conflict (code, year) do update
                    set note = 'met', year = {year} + 1""",
                f"update {only}{table} set year = {year} where code like '{code}%'",
                f"update {only}{table} set code = '{code}', note = 'moved' where year = {year}",
                f"update {table} set year = year + 1",
                f"delete from {only}{table} where code <= '{code}'",
                f"truncate {only}{table}",
                f"copy {table} (code, year, note) from stdin",
                f"""with gone as (delete from {table} returning *)
                    insert into sample select code, {year}, note from gone""",
            ]
        )
    )


others = st.sampled_from(
    [
        "insert into visit (subject_id, code) select id, 'x' from subject",
        "insert into visit (subject_id, code, note) select min(id), 'y', 'new' from subject having count(*) > 0",
        "update visit set code = code || 'z'",
        "update visit set subject_id = (select max(id) from subject), code = code || id",
        "delete from visit where code = 'x'",
        "delete from subject where code = 'a'",
        "delete from subject where bed = 2",
        "delete from subject",
        "truncate subject cascade",
        "truncate visit, sample",
        "update subject set id = id + 1",
        "update subject set id = 6 - id",
        "update subject set code = case code when 'a' then 'b' when 'b' then 'a' else code end",
        """with gone as (delete from subject where bed = 1 returning *)
        insert into subject (code, phone, bed) select code || 'x', phone, bed from gone""",
        """with moved as (update subject set phone = null where code = 'a' returning id),
        more as (insert into subject (code, bed) values ('f', 1), ('g', 2) on conflict do nothing returning id)
        update subject set bed = 7 where id not in (select id from moved)""",
        """with new as (insert into subject (code) values ('h') returning id)
        insert into visit (subject_id, code) select id, 'x' from new""",
        "insert into people (code, phone, bed) values ('b', 'q', 2)",
        "update people set code = code || 'p', bed = bed + 1",
        "delete from people where code > 'b'",
        "insert into loud (code, phone) values ('A', 'p'), ('F', 'r')",
        "insert into request values ('a', 'asked'), ('b', 'asked')",
        """do $$ begin insert into subject (code) values ('c'); insert into subject (code) values ('c');
        exception when unique_violation then update subject set bed = 5 where code = 'c'; end $$""",
        "set constraints all deferred",
        "copy subject (code, phone, bed) from stdin",
        "savepoint s",
        "rollback to s",
        "release s",
    ]
)
statements = st.one_of(
    inserts(), inserts(), updates(), updates(), merges(), samples(), samples(), others, others, others
)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    migration = draw(st.sampled_from(MIGRATIONS)) if draw(st.integers(0, 4)) == 4 else ""
    return Turn(
        session=0 if migration else draw(st.integers(0, len(SESSIONS) - 1)),
        statements=draw(st.lists(statements, min_size=1, max_size=5)),
        migration=migration,
        after=draw(st.lists(statements, max_size=2)) if migration else (),
        end=draw(st.sampled_from(["commit", "commit", "commit", "rollback", "prepare", ""])),
        replicate=draw(st.booleans()),
    )


schemas = st.builds(
    Schema,
    identity=st.sampled_from(["always", "by default"]),
    shifting=st.booleans(),
    deferred=st.booleans(),
    action=st.sampled_from(["cascade", "no action", "restrict"]),
    generated=st.sampled_from(["stored", "virtual"]),
    samples=st.sampled_from(list(SAMPLES)),
    capture=st.sampled_from(["statement", "statement", "row"]),
    skip_unchanged=st.booleans(),
    triggers=st.lists(st.integers(0, len(TRIGGERS) - 1), max_size=2, unique=True),
)
programs = st.builds(Program, schemas, st.lists(turns(), min_size=1, max_size=7))
