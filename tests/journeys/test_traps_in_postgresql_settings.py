"""Traps of capture in PostgreSQL: what a session has set, and names in its search_path that are taken for others."""

from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start, pinned
from tests.journeys.test_traps_in_postgresql import each, four_forms
from tests.nodes import Shape, Side, by_natural_key, compare, install, replicate, write_config


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


@pytest.fixture
def forms(start: Start, pair: Pair) -> Journey:
    return four_forms(start, pair)


# --- names that are taken for others

FUNCTIONS = """
create function hostile.trap() returns text language plpgsql as $$ begin raise 'the trap snapped'; end $$;
create function hostile.current_setting(text, boolean) returns text language sql as 'select hostile.trap()';
create function hostile.pg_has_role(name, name, text) returns boolean language sql as 'select hostile.trap()::boolean';
create function hostile.nextval(text) returns bigint language sql as 'select hostile.trap()::bigint';
create function hostile.nextval(regclass) returns bigint language sql as 'select hostile.trap()::bigint';
create function hostile.now() returns timestamptz language sql as 'select hostile.trap()::timestamptz';
create function hostile.format(text, variadic text[]) returns text language sql as 'select hostile.trap()';
create function hostile.replace(text, text, text) returns text language sql as 'select hostile.trap()';
create function hostile.quote_literal(text) returns text language sql as 'select hostile.trap()';
"""
OPERATORS = """
create function hostile.trap(anyelement, anyelement) returns boolean language plpgsql as $$ begin
    raise 'the trap snapped'; end $$;
create function hostile.trap(record, record) returns boolean language plpgsql as $$ begin
    raise 'the trap snapped'; end $$;
create function hostile.trap(text, text) returns boolean language plpgsql as $$ begin
    raise 'the trap snapped'; end $$;
create operator hostile.= (function = hostile.trap, leftarg = record, rightarg = record);
create operator hostile.*= (function = hostile.trap, leftarg = record, rightarg = record);
create operator hostile.*<> (function = hostile.trap, leftarg = record, rightarg = record);
create operator hostile.<> (function = hostile.trap, leftarg = record, rightarg = record);
create operator hostile.|| (function = hostile.trap, leftarg = text, rightarg = text);
create operator hostile.|| (function = hostile.trap, leftarg = anyelement, rightarg = anyelement);
"""
TYPES = """
create type hostile.record as (trap integer);
create type hostile.regclass as (trap integer);
create type hostile.text as (trap integer);
create type hostile.name as (trap integer);
create type hostile.jsonb as (trap integer);
create type hostile.mood as enum ('trap');
"""
RELATIONS = """
create table hostile.pg_class (oid text);
create table hostile.pg_trigger (oid text);
create table hostile.captured (table_name text);
create view hostile.new_rows as select 'trap' as code;
create view hostile.old_rows as select 'trap' as code;
create sequence hostile.seq;
"""
SHADOWS = {"functions": FUNCTIONS, "operators": OPERATORS, "types": TYPES, "relations": RELATIONS}
WORK = (
    "insert into public.{t} (code, n) values ('d', 1), ('z', 2)",
    "update public.{t} set n = n + 1",
    "update public.{t} set code = 'e', note = null where code = 'a'",
    "delete from public.{t} where code in ('b', 'y')",
)


def hostile(side: Side, shadows: str) -> None:
    side.script("create schema hostile;" + SHADOWS[shadows])
    side.run("set search_path = hostile, pg_catalog, public")


@pytest.mark.parametrize("shadows", SHADOWS)
def test_names_of_a_hostile_search_path_lead_no_trigger_astray(forms: Journey, shadows: str) -> None:
    """Functions that set their path are safe; one that is inlined into a WHEN clause is read under the session's."""
    hostile(forms.source, shadows)
    try:
        for statement in WORK:
            forms.write(*each(statement))
        forms.write(*each("truncate public.{t}"), *each("insert into public.{t} (code) values ('f'), ('y')"))
    finally:
        forms.source.run("reset search_path")
    forms.arrive()


DDL = (
    "alter table public.plain add column came pg_catalog.int4, drop column note",
    "alter table public.split add column came pg_catalog.int4",
    "alter table public.plain_row rename column note to remark",
    "create table public.split_late partition of public.split_row for values from ('zz') to ('zzz')",
)


@pytest.mark.parametrize("shadows", SHADOWS)
def test_names_of_a_hostile_search_path_lead_no_event_trigger_astray(forms: Journey, shadows: str) -> None:
    forms.source.run("alter table split_row detach partition split_row_high")
    forms.source.run("alter table split_row attach partition split_row_high for values from ('m') to ('zz')")
    hostile(forms.source, shadows)
    for statement in (*DDL, *each(WORK[0]), "insert into public.split_late (code) values ('zza')"):
        forms.source.run(statement)
    forms.source.run("reset search_path")
    assert forms.source.rows("select reason from cdc_sync.gap") == []
    for statement in DDL[:3]:
        forms.target.run(statement)
    replicate(forms.config)
    shapes = (Shape("plain", ("code",), ("n", "came")), Shape("plain_row", ("code",), ("n", "remark")))
    compare(forms.source, forms.target, *shapes, Shape("split", ("code",), ("n", "came")), forms.shapes[3])


def test_names_in_the_temporary_schema_lead_no_trigger_astray(forms: Journey) -> None:
    """A temporary table of a captured one's name takes its writes: they are nobody's business."""
    forms.source.script(
        "create temp table plain as select * from plain; create temp table split (code text, n integer);"
    )
    forms.source.run("insert into plain (code) values ('hidden')")
    forms.source.run("insert into split (code) values ('hidden')")
    forms.source.run("delete from plain")
    forms.source.run("insert into public.plain (code) values ('d')")
    forms.source.run("delete from public.split where code = 'a'")
    forms.source.run("truncate public.split_low, public.plain_row")
    forms.source.script("drop table pg_temp.plain; drop table pg_temp.split")
    forms.arrive()
    assert ("d",) in by_natural_key(forms.target, forms.shapes[0])


CASTS = """
create cast (text as integer) with inout as implicit;
create cast (integer as text) with inout as implicit;
create cast (text as bigint) with inout as implicit;
"""


@pytest.mark.parametrize("moment", ["before the installation", "after it"])
def test_implicit_casts_of_the_application_change_nothing(start: Start, pair: Pair, moment: str) -> None:
    """Databases that came from PostgreSQL 8.2 have such casts; with them operators become ambiguous."""
    schema = "create table subject (id {pk}, code text not null unique, n integer, note text);"
    shape = Shape("subject", ("code",), ("n", "note"))
    if moment == "before the installation":
        pair[0].script(CASTS)
    journey = start(schema, {"subject": ["code"]}, shape)
    if moment == "after it":
        pair[0].script(CASTS)
    try:
        journey.arrive("insert into subject (code, n, note) values ('a', 1, 'x'), ('b', 2, 'x'), ('c', 3, 'x')")
        journey.arrive("update subject set code = 'd', n = 9 where n = 1", "delete from subject where code = 'b'")
        journey.arrive("truncate subject", "insert into subject (code, n) values ('c', 5)")
    finally:
        for line in CASTS.strip().splitlines():
            pair[0].run(line.split(" with")[0].replace("create", "drop"))


# --- what a session has set

SETTINGS = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "lc_monetary": "C",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "check_function_bodies": "off",
    "row_security": "off",
    "enable_hashjoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "session_replication_role": "replica",
    "statement_timeout": "20s",
    "lock_timeout": "20s",
    "plpgsql.variable_conflict": "error",
    "search_path": "",
}
ODD = """
create table odd (at timestamptz not null, span interval not null, bytes bytea not null, real float8 not null,
    note text, numbers integer[], primary key (at, span, bytes, real))
"""
PARTS = "partition by hash (at); create table odd_0 partition of odd for values with (modulus 1, remainder 0)"
ODD_ROWS = """
insert into public.odd (at, span, bytes, real, note, numbers) values
    ('2024-02-03 04:05:06.000007+00', '1 year 2 mons -3 days 04:05:06.7', decode('005c27ff', 'hex'), 0.1::float8 + 0.2,
        'x', array[1, null]),
    ('2024-11-03 01:30:00+00', '-1 day', '', 5e-324, 'y', null), ('1970-01-01', '0', 'a', -1e-5, null, '{}')
"""
ODD_WORK = (
    "update public.odd set note = coalesce(note, '') || '!'",
    "update public.odd set at = '2024-05-06 07:08:09+00', real = 1e300 where real = 5e-324",
    "delete from public.odd where real < 0",
)


@pytest.mark.parametrize("capture", ["statement", "row"])
@pytest.mark.parametrize("parts", ["", PARTS], ids=["whole", "in partitions"])
def test_nothing_that_a_session_has_set_changes_what_is_captured(
    pair: Pair, tmp_path: Path, capture: str, parts: str
) -> None:
    """Changes are kept as values, not as text; text is made in the replicator's own session."""
    source, target = pair
    target.run(ODD)
    source.script(ODD + parts)
    entry = {"key": ["at", "span", "bytes", "real"], "capture": capture}
    config = write_config(tmp_path, "clinic", source, target, {"odd": entry})
    install(config)
    with closing(source.connect()) as session:
        for name, value in SETTINGS.items():
            session.execute("select set_config(%s, %s, false)", (name, value))
        for statements in ((ODD_ROWS,), ODD_WORK, ("truncate public.odd", ODD_ROWS)):
            for statement in statements:
                session.execute(statement)
            replicate(config)
            query = "select at::text, span::text, bytes::text, real::text, note, numbers::text from odd order by real"
            assert pinned(target, query) == pinned(source, query)


DATABASE = {
    "datestyle": "SQL, DMY",
    "bytea_output": "escape",
    "timezone": "Asia/Kathmandu",
    "default_transaction_isolation": "serializable",
    "statement_timeout": "1min",
}


def test_settings_of_the_database_and_of_the_role_do_not_reach_the_replicator(forms: Journey) -> None:
    name = sa.make_url(forms.source.url).database
    for setting, value in DATABASE.items():
        forms.source.run(f"alter database {name} set {setting} = '{value}'")
    with closing(forms.source.connect()) as session:
        session.execute("insert into plain (code) values ('d')")
    forms.arrive("update split set note = now()::text")
