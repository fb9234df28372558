"""The destination's own triggers, such as an audit's, fire for applied rows, or keep quiet where the file says so."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync import config as configuration
from cdc_sync import databases
from cdc_sync.config import Config
from cdc_sync.databases import Mode
from cdc_sync.errors import ConfigError
from tests.conftest import Make
from tests.journeys.killed import Run, Runner
from tests.nodes import Shape, Side, by_natural_key, compare, install, letters, replicate, write_config

TARGETS = pytest.mark.parametrize("kinds", [("postgresql", "sqlite"), ("sqlite", "postgresql")], ids="-".join)
Kinds = tuple[str, str]

SCHEMA = """
create table subject (id {pk}, code varchar(9) not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id) on delete cascade,
    number integer not null, unique (subject_id, number));
create table audit (id {pk}, what text);
"""
SUBJECT = Shape("subject", ("code",), ("note",))
VISIT = Shape("visit", ("subject_id>subject.code", "number"))
KEYS = {"subject": ["code"], "visit": ["subject_id", "number"]}
FUNCTION = """
create function audited() returns trigger language plpgsql as $$
    begin insert into audit (what) values (tg_table_name || ' ' || lower(tg_op)); return null; end $$;
"""


def audit(side: Side, *tables: str) -> None:
    """An audit of the application's, on these tables."""
    if side.kind == "postgresql":
        side.run(FUNCTION)
    for table in tables:
        if side.kind == "postgresql":
            side.run(
                f"create trigger {table}_audit after insert or update or delete on {table} "
                "for each row execute function audited()"
            )
            continue
        for event in ("insert", "update", "delete"):
            side.run(
                f"create trigger {table}_audit_{event} after {event} on {table} "
                f"begin insert into audit (what) values ('{table} {event}'); end"
            )


def seen(side: Side) -> list[str]:
    """What the audit has seen since it was asked last."""
    found = sorted(what for (what,) in side.rows("select what from audit"))
    side.run("delete from audit")
    return found


def triggers(side: Side) -> list[Any]:
    """All triggers with their texts and states, in the order in which they were made."""
    if side.kind == "sqlite":
        return side.rows(
            "select tbl_name, name, sql from sqlite_master where type = 'trigger' order by tbl_name, rowid"
        )
    return side.rows(
        "select tgrelid::regclass::text, tgname::text, tgenabled::text, pg_get_triggerdef(oid) "
        "from pg_trigger order by 1, 2"
    )


def nodes(make_side: Make, folder: Path, kinds: Kinds, say: str) -> tuple[Side, Side, Config]:
    source, target = make_side(kinds[0], "source"), make_side(kinds[1], "target")
    for side in (source, target):
        side.script(SCHEMA)
    audit(target, "subject", "visit")
    tables = {
        "subject": {"key": ["code"], "triggers": say},
        "visit": {"key": ["subject_id", "number"], "triggers": say},
    }
    config = write_config(folder, "laptop", source, target, tables)
    install(config)
    return source, target, config


@TARGETS
@pytest.mark.parametrize("say", ["fire", "quiet"])
def test_an_audit_sees_each_applied_row_once_or_none(make_side: Make, tmp_path: Path, kinds: Kinds, say: str) -> None:
    """Children that a deletion takes with it too; and the application's own rows always."""
    source, target, config = nodes(make_side, tmp_path, kinds, say)
    source.run("insert into subject (id, code) values (1, 'a'), (2, 'b')")
    source.run("insert into visit (subject_id, number) values (1, 1), (2, 1)")
    steps = [
        ("select 1", ["subject insert"] * 2 + ["visit insert"] * 2),
        ("update subject set note = 'x' where code = 'a'", ["subject update"]),
        ("update subject set code = 'c' where code = 'b'", ["subject update"] * 2),
        ("delete from subject where code = 'a'", ["subject delete", "visit delete"]),
    ]
    for statement, expected in steps:
        source.run(statement)
        replicate(config)
        assert seen(target) == ([] if say == "quiet" else expected)
        compare(source, target, SUBJECT, VISIT)
    target.run("insert into subject (code) values ('own')")
    assert seen(target) == ["subject insert"]


@TARGETS
def test_an_entry_for_the_child_only_keeps_its_triggers_quiet_when_its_parent_goes(
    make_side: Make, tmp_path: Path, kinds: Kinds
) -> None:
    source, target = make_side(kinds[0], "source"), make_side(kinds[1], "target")
    for side in (source, target):
        side.script(SCHEMA)
    audit(target, "subject", "visit")
    tables: Any = {"subject": ["code"], "visit": {"key": ["subject_id", "number"], "triggers": "quiet"}}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    source.run("insert into subject (id, code) values (1, 'a')")
    replicate(config)
    target.run("insert into visit (subject_id, number) select id, 7 from subject")
    assert seen(target) == ["subject insert", "visit insert"]
    source.run("delete from subject")
    replicate(config)
    assert target.rows("select id from visit") == []
    assert seen(target) == ["subject delete"]


@TARGETS
def test_foreign_keys_are_checked_all_the_same(make_side: Make, tmp_path: Path, kinds: Kinds) -> None:
    source, target = make_side(kinds[0], "source"), make_side(kinds[1], "target")
    for side in (source, target):
        side.script(SCHEMA.replace(" on delete cascade", ""))
    audit(target, "subject", "visit")
    tables = {name: {"key": key, "triggers": "quiet"} for name, key in KEYS.items()}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    source.run("insert into subject (id, code) values (1, 'a'), (2, 'b')")
    source.run("insert into visit (subject_id, number) values (2, 1)")
    replicate(config)
    target.run("insert into visit (subject_id, number) select id, 7 from subject where code = 'a'")
    seen(target)
    source.run("delete from subject where code = 'a'")
    source.run("update subject set note = 'x'")
    before = triggers(target)
    replicate(config)
    assert [letter.state for letter in letters(target)] == ["deferred"]
    assert by_natural_key(target, SUBJECT) == {("a",): (None,), ("b",): ("x",)}
    assert seen(target) == []
    assert triggers(target) == before
    target.run("delete from visit where number = 7")
    replicate(config)
    assert letters(target) == []
    compare(source, target, SUBJECT, VISIT)
    assert seen(target) == ["visit delete"]


@TARGETS
def test_capture_goes_on_as_it_was_where_the_destination_is_a_node_itself(
    make_side: Make, tmp_path: Path, kinds: Kinds
) -> None:
    """Nothing that arrived is captured, everything that the application writes is, and no trigger is made anew."""
    source, target, config = nodes(make_side, tmp_path, kinds, "quiet")
    if target.kind == "sqlite":
        target.run("create trigger odd before insert on subject when new.code = 'odd' begin select raise(ignore); end")
    central = make_side("sqlite", "central")
    central.script(SCHEMA)
    on = write_config(tmp_path, "community", target, central, KEYS)
    install(on)
    before = triggers(target)
    source.run("insert into subject (id, code) values (1, 'a')")
    replicate(config)
    target.run("insert into subject (code) values ('own')")
    source.run("update subject set note = 'x'")
    replicate(config)
    assert triggers(target) == before
    assert seen(target) == ["subject insert"]
    target.run("update subject set note = 'y' where code = 'own'")
    replicate(on)
    assert triggers(target) == before
    assert by_natural_key(central, SUBJECT) == {("own",): ("y",)}


@TARGETS
def test_a_process_that_dies_leaves_the_triggers_in_place(make_side: Make, tmp_path: Path, kinds: Kinds) -> None:
    source, target, config = nodes(make_side, tmp_path, kinds, "quiet")
    before = triggers(target)
    with Runner() as runner:
        died = 0
        for number in range(1, 40):
            source.run("insert into subject (code) values (?)", (f"s{number}",))
            code, output = runner.run(Run("before", number, ["replicate", "--once", "--config", str(config.path)]))
            assert triggers(target) == before
            if code >= 0:
                assert code == 0, output
                break
            died += 1
    assert died > 2
    assert seen(target) == []
    compare(source, target, SUBJECT)


@TARGETS
def test_within_the_transaction_the_triggers_rest_and_whatever_ends_it_wakes_them(
    make_side: Make, tmp_path: Path, kinds: Kinds
) -> None:
    _, target, _ = nodes(make_side, tmp_path, kinds, "quiet")
    before = triggers(target)
    with databases.connect(target.url) as database:
        with pytest.raises(KeyError), database.begin(Mode.WRITE) as session:
            tables = list(database.describe(session, ["subject", "visit"]).values())
            with database.resting(session, tables):
                session.script("insert into subject (code) values ('a')")
                raise KeyError
        assert triggers(target) == before
        with database.begin(Mode.WRITE) as session:
            with database.resting(session, tables):
                session.script("insert into subject (code) values ('a')")
            session.script("insert into subject (code) values ('b')")
    assert triggers(target) == before
    assert seen(target) == ["subject insert"]


# --- PostgreSQL


POSTGRESQL: Kinds = ("sqlite", "postgresql")


@contextmanager
def replicator(side: Side, config: Config) -> Iterator[Config]:
    """The same, by a role that may write the destination's tables, and owns none."""
    role = f"{sa.make_url(side.url).database}_writer"
    side.script(
        f"create role {role} login; grant create on database {sa.make_url(side.url).database} to {role};"
        f"grant usage on schema public to {role}; grant all on all tables in schema public to {role};"
        f"grant usage, update on all sequences in schema public to {role};"
    )
    try:
        text = config.path.read_text(encoding="utf-8")
        url = sa.make_url(side.url).set(username=role).render_as_string(hide_password=False)
        config.path.write_text(text.replace(side.url, url), encoding="utf-8")
        yield configuration.load(config.path)
    finally:
        side.script(f"drop owned by {role} cascade; drop role {role}")


def test_a_role_that_owns_no_table_is_told_and_nothing_is_applied(make_side: Make, tmp_path: Path) -> None:
    """A trigger that asks by itself needs no owner: in its condition, or in its function."""
    source, target, config = nodes(make_side, tmp_path, POSTGRESQL, "quiet")
    source.run("insert into subject (code) values ('a')")
    with replicator(target, config) as writer:
        with pytest.raises(ConfigError, match="only the table's owner") as told:
            replicate(writer)
        assert "cdc_sync.mute" in told.value.hint
        assert by_natural_key(target, SUBJECT) == {}
        target.run(
            "create or replace trigger subject_audit after insert or update or delete on subject for each row "
            "when (current_setting('cdc_sync.mute', true) is distinct from 'on') execute function audited()"
        )
        target.run("drop trigger visit_audit on visit")
        replicate(writer)
        compare(source, target, SUBJECT)
        assert seen(target) == []
        target.run("insert into subject (code) values ('own')")
        assert seen(target) == ["subject insert"]


def test_triggers_of_every_state_partitions_and_deferred_constraints_are_as_before(
    make_side: Make, tmp_path: Path
) -> None:
    source, target = make_side("sqlite", "source"), make_side("postgresql", "target")
    source.script("""
        create table form (id {pk}, code varchar(9) not null unique, next_id integer references form (id));
        create table entry (code varchar(9) primary key, note text);
        create table audit (id {pk}, what text);
    """)
    target.script("""
        create table form (id {pk}, code varchar(9) not null unique,
            next_id integer references form (id) deferrable initially deferred);
        create table entry (code varchar(9) primary key, note text) partition by hash (code);
        create table entry_0 partition of entry for values with (modulus 2, remainder 0);
        create table entry_1 partition of entry for values with (modulus 2, remainder 1);
        create table audit (id {pk}, what text);
    """)
    audit(target, "form", "entry")
    target.script("""
        create trigger always after insert on form for each row execute function audited();
        alter table form enable always trigger always;
        create trigger never after insert on form for each row execute function audited();
        alter table form disable trigger never;
        create trigger whole after insert on form for each statement execute function audited();
        create trigger part after insert on entry_1 for each row execute function audited();
        create constraint trigger late after insert on form deferrable initially deferred
            for each row execute function audited();
    """)
    tables = {name: {"key": ["code"], "triggers": "quiet"} for name in ("form", "entry")}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    before = triggers(target)
    with source.transaction():
        source.run("insert into form (id, code) values (1, 'a'), (2, 'b')")
        source.run("update form set next_id = 3 - id")
        source.run("insert into entry values ('a', 'x'), ('b', 'x'), ('c', 'x'), ('d', 'x')")
    replicate(config)
    source.run("delete from entry where code in ('a', 'b')")
    source.run("update form set next_id = null where code = 'a'")
    replicate(config)
    compare(source, target, Shape("entry", ("code",), ("note",)), Shape("form", ("code",), ("next_id>form.code",)))
    assert seen(target) == []
    assert triggers(target) == before
    target.run("insert into form (code) values ('own')")
    assert seen(target) == ["form insert"] * 4


def test_whoever_writes_the_table_waits_only_and_its_triggers_fire(make_side: Make, tmp_path: Path) -> None:
    """And an application that writes it for long makes the batch come later, and lose nothing."""
    source, target, config = nodes(make_side, tmp_path, POSTGRESQL, "quiet")
    source.run("insert into subject (code) values ('a')")
    with closing(psycopg.connect(target.url.replace("+psycopg", ""))) as other:
        other.execute("insert into subject (code) values ('own')")
        done = threading.Thread(target=replicate, args=(config,))
        done.start()
        done.join(2.5)
        assert done.is_alive()
        other.commit()
        done.join(30)
    compare(source, target, SUBJECT, others={"subject": {("own",): (None,)}})
    assert seen(target) == ["subject insert"]
