"""Traps of capture in PostgreSQL: who writes, what that role may see and set, and who may switch triggers off."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from cdc_sync.config import Config
from cdc_sync.errors import ConfigError
from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.journeys.test_traps_in_postgresql import TABLES, changes, each, four_forms, owned, told
from tests.nodes import Row, Shape, Side, by_natural_key, compare, install, replicate, write_config


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


@pytest.fixture
def forms(start: Start, pair: Pair) -> Journey:
    return four_forms(start, pair)


@contextmanager
def role(side: Side, name: str, rights: str = "") -> Iterator[str]:
    """A role of that name with these rights, and its full name; ``{role}`` stands for it."""
    full = f"{sa.make_url(side.url).database}_{name}"
    side.script(f"create role {full} login; grant usage on schema public to {full};{rights.replace('{role}', full)}")
    try:
        yield full
    finally:
        side.connection.rollback()
        side.script(f"reset role; reset session authorization; drop owned by {full} cascade; drop role {full}")


@contextmanager
def connected(side: Side, name: str) -> Iterator[psycopg.Connection[Row]]:
    url = sa.make_url(side.url).set(username=name).render_as_string(False)
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        yield connection


WRITE = "select, insert, update, delete, truncate"
WORK = (
    "insert into {t} (code, n) values ('d', 1), ('z', 2)",
    "update {t} set n = n + 1 where code in ('d', 'y')",
    "update {t} set code = 'e' where code = 'a'",
    "update {t} set code = 'q' where code = 'b'",
    "delete from {t} where code = 'c'",
)


def work(connection: psycopg.Connection[Row], *statements: str) -> None:
    for statement in statements:
        for text in each(statement):
            connection.execute(text)


def test_a_role_that_may_write_a_table_and_not_its_partitions_is_captured(forms: Journey) -> None:
    rights = f"grant {WRITE} on {', '.join(TABLES)} to {{role}}"
    with role(forms.source, "guest", rights) as name, connected(forms.source, name) as guest:
        work(guest, *WORK)
        forms.arrive()
        work(guest, "truncate {t}", "insert into {t} (code) values ('a'), ('y')")
    forms.arrive()


def test_a_role_that_may_write_some_columns_only_is_captured(forms: Journey) -> None:
    rights = "".join(each("grant insert (code), update (n), select (code) on {t} to {role};"))
    with role(forms.source, "guest", rights) as name, connected(forms.source, name) as guest:
        work(guest, "insert into {t} (code) values ('d'), ('z')", "update {t} set n = 77 where code = 'a'")
    forms.arrive()


RIGHTS = "language plpgsql security definer set search_path = public as $$ begin execute $1; end $$"
WRAPPED = {
    "a function with its owner's rights": (
        f"create function public.work(text) returns void {RIGHTS}",
        "select work(%s)",
    ),
    "a procedure with its owner's rights": (f"create procedure public.work(text) {RIGHTS}", "call work(%s)"),
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_role_that_may_only_call_a_function_of_another_role_is_captured(forms: Journey, wrapping: str) -> None:
    """Three roles at once: who logged in, who the function belongs to, and whom our own functions belong to."""
    script, call = WRAPPED[wrapping]
    rights = f"grant {WRITE} on {', '.join(TABLES)} to {{role}}"
    with role(forms.source, "writer", rights) as writer, role(forms.source, "guest") as name:
        forms.source.script(script)
        forms.source.run(f"alter routine work owner to {writer}")
        with connected(forms.source, name) as guest:
            for statement in WORK:
                for text in each(statement):
                    guest.execute(call, (text,))
        forms.arrive()


@pytest.mark.parametrize("how", ["set role {role}", "set local role {role}", "set local session authorization {role}"])
@pytest.mark.parametrize("mute", ["off", "on"])
def test_a_session_that_plays_another_role_is_captured(forms: Journey, how: str, mute: str) -> None:
    """The mute is honoured for whom the session belongs to, if that is the replicator; whoever it plays."""
    rights = f"grant {WRITE} on {', '.join(TABLES)} to {{role}}"
    with role(forms.source, "guest", rights) as name, role(forms.source, "other", f"grant {name} to {{role}}") as other:
        who = str(sa.make_url(forms.source.url).username) if "session" in how else other
        with connected(forms.source, who) as session, session.transaction():
            session.execute(how.replace("{role}", name))
            session.execute(f"set local cdc_sync.mute = '{mute}'")
            work(session, *WORK)
        forms.arrive()


def test_a_role_that_knows_nothing_of_us_may_create_and_alter_tables(forms: Journey) -> None:
    """The event trigger fires for everybody's commands, with the rights of whoever gives them or with its own."""
    with role(forms.source, "guest", "grant create on schema public to {role}") as name:
        with connected(forms.source, name) as guest:
            guest.execute("create table mine (id integer primary key) partition by range (id)")
            guest.execute("create table mine_one partition of mine for values from (1) to (9)")
            guest.execute("alter table mine add column note text; insert into mine values (1)")
            guest.execute("create temp table scratch as select * from mine; alter table scratch add column n integer")
        forms.source.script(f"alter table split owner to {name}; alter table split_low owner to {name}")
        with connected(forms.source, name) as guest:
            guest.execute("alter table split detach partition split_low")
            guest.execute("create table split_low2 partition of split for values from (minvalue) to ('h')")
            guest.execute("insert into split_low2 (code) values ('g')")
        forms.arrive()
        forms.source.script("alter table split owner to current_user; alter table split_low2 owner to current_user")
        forms.source.script("drop table mine")


@pytest.mark.parametrize("capture", ["statement", "row"])
def test_a_table_that_was_given_to_another_owner_is_captured_and_its_truncation_is_told(
    make_side: Make, tmp_path: Path, capture: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Our functions run with the rights of the role that installed them, which TRUNCATE makes read the table."""
    side, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    with owned(side) as source, role(side, "heir", "grant create on schema public to {role}") as heir:
        for one in (source, target):
            one.script(SUBJECT)
        entry = {"key": ["code"], "capture": capture}
        config = write_config(tmp_path, "clinic", source, target, {"subject": entry})
        install(config)
        source.run("insert into subject (code) values ('s1'), ('s2')")
        replicate(config)
        side.run(f"alter table subject owner to {heir}")
        with connected(side, heir) as application:
            application.execute("update subject set code = 's3' where code = 's1'")
            application.execute("delete from subject where code = 's2'")
            application.execute(f"grant select on subject to {sa.make_url(source.url).username}")
            application.execute("insert into subject (code) values ('s4')")
            replicate(config)
            compare(side, target, SHAPE)
            application.execute(f"revoke select on subject from {sa.make_url(source.url).username}")
            application.execute("truncate subject")
        side.run(f"alter table subject owner to {sa.make_url(source.url).username}")
        told(caplog, config)


# --- row-level security

POLICIES = """
alter table {t} enable row level security;
create policy low on {t} to {role} using (n < 4);
"""


def test_a_role_that_policies_bind_is_captured(forms: Journey) -> None:
    """Its updates and deletes pass by the rows that it may not see."""
    rights = f"grant {WRITE} on {', '.join(TABLES)} to {{role}};" + "".join(each(POLICIES))
    with role(forms.source, "guest", rights) as name, connected(forms.source, name) as guest:
        work(guest, "insert into {t} (code, n) values ('d', 1), ('z', 2)", "update {t} set note = 'g'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            guest.execute("update plain set n = 99")
        work(guest, "update {t} set code = 'e' where code = 'a'", "delete from {t} where code in ('d', 'c', 'y')")
        forms.arrive()
    assert by_natural_key(forms.target, forms.shapes[0])[("y",)] == (4, "x")


SUBJECT = "create table subject (id {pk}, code text not null unique, note text);"
SHAPE = Shape("subject", ("code",), ("note",))
VEIL = "alter table subject enable row level security; create policy low on subject using (note is null);"
Node = tuple[Config, Side, Side]


@pytest.fixture
def node(make_side: Make, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node whose replicator is a superuser, or a role that owns the tables and is none."""
    side, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    with ExitStack() as stack:
        source = stack.enter_context(owned(side)) if request.param == "owner" else side
        for script in (source, target):
            script.script(SUBJECT)
        yield write_config(tmp_path, "clinic", source, target, {"subject": ["code"]}), source, target


owner = pytest.mark.parametrize("node", ["owner"], indirect=True)
either = pytest.mark.parametrize("node", ["superuser", "owner"], indirect=True)


@either
def test_a_replicator_whom_no_policy_binds_sees_all_rows(node: Node) -> None:
    config, source, target = node
    source.script(VEIL)
    source.run("insert into subject (code, note) values ('s0', 'x')")
    install(config, include_existing=True)
    source.run("insert into subject (code, note) values ('s1', 'x'), ('s2', null)")
    source.run("update subject set note = 'y'")
    replicate(config)
    compare(source, target, SHAPE)


@owner
def test_a_replicator_whom_policies_bind_is_refused_at_the_installation(node: Node) -> None:
    config, source, _ = node
    source.script(VEIL + "alter table subject force row level security")
    with pytest.raises(ConfigError, match="row-level security hides rows of table 'subject'"):
        install(config)


@owner
def test_a_replicator_whom_policies_come_to_bind_sends_nothing_until_it_sees_all_rows(node: Node) -> None:
    config, source, target = node
    install(config)
    source.run("insert into subject (code, note) values ('s1', 'x'), ('s2', null)")
    replicate(config)
    source.script(VEIL + "alter table subject force row level security")
    source.run("update subject set note = null")
    source.run("insert into subject (code) values ('s3')")
    with pytest.raises(ConfigError, match="row-level security"):
        replicate(config)
    assert len(by_natural_key(target, SHAPE)) == 2
    source.run("alter table subject no force row level security")
    replicate(config)
    compare(source, target, SHAPE)


# --- session_replication_role, and triggers that are switched off


@pytest.mark.parametrize("value", ["replica", "local", "origin"])
def test_writes_under_every_session_replication_role_are_captured(forms: Journey, value: str) -> None:
    forms.source.run(f"set session_replication_role = {value}")
    forms.arrive(*(text for statement in WORK for text in each(statement)))
    forms.arrive(*each("truncate {t}"), *each("insert into {t} (code) values ('a'), ('y')"))


def test_a_role_to_which_session_replication_role_was_granted_is_captured(forms: Journey) -> None:
    """Since PostgreSQL 15 it takes no superuser: GRANT SET ON PARAMETER."""
    rights = (
        f"grant {WRITE} on {', '.join(TABLES)} to {{role}}; grant set on parameter session_replication_role to {{role}}"
    )
    with role(forms.source, "guest", rights) as name, connected(forms.source, name) as guest:
        guest.execute("set session_replication_role = replica")
        work(guest, *WORK)
    forms.arrive()


OFF = {
    "all": ("alter table subject disable trigger all", "alter table subject enable trigger all"),
    "those of users": ("alter table subject disable trigger user", "alter table subject enable trigger user"),
    "one by name": (
        "alter table subject disable trigger cdc_sync_insert",
        "alter table subject enable trigger cdc_sync_insert",
    ),
}


@either
@pytest.mark.parametrize("what", OFF)
def test_enable_trigger_after_disable_demotes_always_and_install_triggers_mends_it(node: Node, what: str) -> None:
    """ENABLE TRIGGER makes them ordinary: they do not fire under session_replication_role = replica any more."""
    config, source, target = node
    install(config)
    for statement in OFF[what]:
        source.run(statement)
    source.run("insert into subject (code) values ('s1')")
    replicate(config)
    compare(source, target, SHAPE)
    install(config)
    enabled = source.rows("select distinct tgenabled::text from pg_trigger where tgname like 'cdc_sync_%'")
    assert enabled == [("A",)]


@either
@pytest.mark.parametrize("what", OFF)
def test_a_write_between_disable_and_enable_trigger_is_not_lost(node: Node, what: str) -> None:
    """All triggers are there again when replicate looks; that they are not ENABLE ALWAYS any more tells of it."""
    config, source, target = node
    install(config)
    off, on = OFF[what]
    for statement in (off, "insert into subject (code) values ('unseen')", on):
        source.run(statement)
    replicate(config)
    compare(source, target, SHAPE)


@either
def test_a_restore_that_disables_triggers_is_noticed(node: Node) -> None:
    """pg_restore --data-only --disable-triggers: all in one transaction, and afterwards every trigger is enabled."""
    config, source, target = node
    install(config)
    source.run("insert into subject (code) values ('s1'), ('s2')")
    replicate(config)
    with source.transaction():
        source.run("alter table subject disable trigger all")
        with source.connection.cursor().copy("copy subject (code, note) from stdin") as copy:
            copy.write("restored\tx\n")
        source.run("alter table subject enable trigger all")
    replicate(config)
    compare(source, target, SHAPE)


@either
def test_a_delete_while_triggers_are_disabled_is_not_lost_or_is_told(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """An event trigger keeps what is there when triggers are disabled. Without one, what is gone cannot be known."""
    config, source, target = node
    install(config)
    source.run("insert into subject (code) values ('s1'), ('s2')")
    replicate(config)
    source.run("alter table subject disable trigger all")
    source.run("delete from subject where code = 's2'")
    if source.rows("select 1 from pg_event_trigger"):
        replicate(config)
        compare(source, target, SHAPE)
    else:
        told(caplog, config)


@pytest.mark.parametrize("table", ["split", "split_row"])
def test_disabled_triggers_of_a_partition_are_noticed_and_come_back(forms: Journey, table: str) -> None:
    forms.source.run(f"alter table {table}_low disable trigger all")
    forms.source.run(f"insert into {table}_low (code) values ('h')")
    forms.arrive()
    forms.source.run(f"insert into {table}_low (code) values ('i')")
    assert changes(forms.source, table) == [("I", "i")]
    forms.arrive()
