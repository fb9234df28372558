"""Traps of capture in PostgreSQL: writes through views and rules, and triggers that make something else of a write."""

from collections import Counter
from contextlib import closing

import psycopg
import pytest

from tests.conftest import Make
from tests.journeys.conftest import Journey, Pair, Start
from tests.journeys.test_traps_in_postgresql import ROWS, TABLES, arrive, changes, each, four_forms
from tests.nodes import by_natural_key


@pytest.fixture
def pair(make_side: Make) -> Pair:
    return make_side("postgresql", "source"), make_side("postgresql", "target")


@pytest.fixture
def forms(start: Start, pair: Pair) -> Journey:
    return four_forms(start, pair)


def prepare(forms: Journey, text: str) -> None:
    for script in each(text):
        forms.source.script(script)


WRITES = {
    "an insert": "insert into {v} (code, n) values ('d', 7), ('z', 8)",
    "an update": "update {v} set n = n + 1",
    "an update of the key": "update {v} set code = code || '2'",
    "an update of the key to another partition": "update {v} set code = 'z' where code = 'a'",
    "a delete": "delete from {v} where code in ('a', 'y')",
    "on conflict": "insert into {v} (code, n) values ('a', 7), ('d', 8) on conflict (code) do update set n = 9",
    "a merge": """
        merge into {v} t using (values ('a', 7), ('b', 8), ('d', 9)) s (code, n) on t.code = s.code
        when matched and s.n = 8 then delete
        when matched then update set n = s.n
        when not matched then insert (code, n) values (s.code, s.n)""",
}
VIEWS = {
    "a view": "create view {t}_seen as select * from {t}",
    "a view with other names and a condition": """
        create view {t}_inner as select note as remark, n, code from {t} where n < 100;
        create view {t}_seen with (security_barrier) as select code, n from {t}_inner with cascaded check option""",
    "a view with the reader's rights": "create view {t}_seen with (security_invoker) as select code, n from {t}",
}


def write_all(forms: Journey, view: str, *without: str) -> None:
    """Every write, each on the same rows."""
    for name, write in WRITES.items():
        if name not in without:
            arrive(forms, write.replace("{v}", view))
            forms.arrive(*each("truncate {t}"), *each(ROWS))


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_a_write_through_an_auto_updatable_view_is_captured(forms: Journey, view: str) -> None:
    prepare(forms, view)
    write_all(forms, "{t}_seen")


INSTEAD = """
create view {t}_joined as select t.code, t.n, 'x' || count(*) over () as others from {t} t;
create function {t}_write() returns trigger language plpgsql as $$ begin
    if tg_op <> 'INSERT' then delete from {t} where code = old.code; end if;
    if tg_op = 'DELETE' then return old; end if;
    insert into {t} (code, n) values (new.code, new.n);
    return new;
end $$;
create trigger write instead of insert or update or delete on {t}_joined for each row execute function {t}_write();
"""


def test_a_write_through_a_view_with_an_instead_of_trigger_is_captured(forms: Journey) -> None:
    """Here an update is a delete and an insert of the same key."""
    prepare(forms, INSTEAD)
    write_all(forms, "{t}_joined", "on conflict")


RULES = {
    "of a view": (
        """
        create view {t}_ruled as select code, n from {t} group by code, n;
        create rule i as on insert to {t}_ruled do instead insert into {t} (code, n) values (new.code, new.n);
        create rule u as on update to {t}_ruled do instead
            (update {t} set n = new.n where code = old.code; update {t} set note = 'ruled' where code = old.code);
        create rule d as on delete to {t}_ruled do instead update {t} set note = 'deleted' where code = old.code;
        """,
        [
            "insert into {t}_ruled values ('d', 1), ('z', 2)",
            "update {t}_ruled set n = 9 where code = 'a'",
            "delete from {t}_ruled where code = 'b'",
        ],
    ),
    "of the table": (
        """
        create rule i as on insert to {t} where new.code = 'never' do instead nothing;
        create rule d as on delete to {t} do instead update {t} set note = 'deleted' where code = old.code;
        """,
        [
            "insert into {t} (code) values ('d')",
            "insert into {t} (code) values ('never')",
            "delete from {t} where n < 3",
        ],
    ),
    "that writes into another table too": (
        """
        create table {t}_source (code text);
        create rule i as on insert to {t}_source do also insert into {t} (code) values (new.code || '!');
        """,
        ["insert into {t}_source values ('d'), ('z')"],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_write_through_a_rule_is_captured(forms: Journey, rule: str) -> None:
    script, statements = RULES[rule]
    prepare(forms, script)
    arrive(forms, *statements)


# --- triggers of the application

BEFORE = """
create function {t}_before() returns trigger language plpgsql as $$ begin {body} return new; end $$;
create trigger aaa before insert or update on {t} for each row execute function {t}_before();
"""


def before(forms: Journey, body: str) -> None:
    prepare(forms, BEFORE.replace("{body}", body))


def test_an_update_that_a_before_trigger_turns_into_a_key_change_is_captured_as_one(forms: Journey) -> None:
    """UPDATE OF code does not fire here, whatever the statement sets: the key changes behind its back."""
    before(forms, "if tg_op = 'UPDATE' then new.code := new.code || new.n; end if;")
    for table in TABLES:
        forms.write(f"update {table} set n = 10 where code = 'a'")
        if table.startswith("plain"):
            assert ("K", "a10") in changes(forms.source, table)
    forms.arrive()


def test_an_update_that_a_before_trigger_moves_to_another_partition_is_captured(forms: Journey) -> None:
    """PostgreSQL refuses that the trigger itself moves a row; the statement that fires it may."""
    before(forms, "new.n := new.n * 2;")
    arrive(forms, "update {t} set n = 21, code = 'z' where code = 'a'", "update {t} set code = 'd' where code = 'y'")


def test_an_insert_whose_key_a_before_trigger_makes_is_captured_with_it(forms: Journey) -> None:
    before(forms, "if tg_op = 'INSERT' then new.code := lower(new.code); end if;")
    arrive(forms, "insert into {t} (code, n) values ('D', 1), ('A', 2) on conflict (code) do update set n = excluded.n")


def test_rows_that_a_before_trigger_suppresses_are_not_captured(forms: Journey) -> None:
    before(forms, "if new.code = 'a' then return null; end if;")
    for table in TABLES:
        forms.write(f"update {table} set n = 7 where code in ('a', 'b')")
        assert Counter(changes(forms.source, table)) == Counter([("U", "b")])
    forms.arrive()


def test_a_before_trigger_that_writes_other_rows_of_the_table_is_captured(forms: Journey) -> None:
    before(forms, "if new.n > 90 then update {t} set n = 0 where code = 'b'; delete from {t} where code = 'c'; end if;")
    arrive(forms, "update {t} set n = 99 where code = 'a'", "insert into {t} (code, n) values ('c', 99)")


AFTER = """
create function {t}_after() returns trigger language plpgsql as $$ begin
    {body}
    return null;
end $$;
"""
FIRING = {
    "rows": """
        create trigger {name} after insert or update on {t}
        for each row when (pg_trigger_depth() = 0) execute function {t}_after()""",
    "rows of a deferred constraint": """
        create constraint trigger {name} after insert or update on {t} initially deferred
        for each row when (pg_trigger_depth() = 0) execute function {t}_after()""",
}
BODIES = {
    "a value": "update {t} set note = coalesce(note, '') || '!' where code = new.code;",
    "the key": "update {t} set code = code || '!' where code = new.code;",
    "away": "delete from {t} where code = new.code;",
    "away and back": """
        delete from {t} where code = new.code;
        insert into {t} (code, n, note) values (new.code, new.n, 'back');""",
}


@pytest.mark.parametrize("name", ["aaa", "zzz"])
@pytest.mark.parametrize("firing", FIRING)
@pytest.mark.parametrize("body", BODIES)
def test_a_row_that_an_after_trigger_writes_again_arrives_as_it_stands_in_the_end(
    forms: Journey, name: str, firing: str, body: str
) -> None:
    """AFTER triggers fire in the order of names; what one of them writes is logged before the write that fired it."""
    prepare(forms, AFTER.replace("{body}", BODIES[body]))
    prepare(forms, FIRING[firing].replace("{name}", name))
    for statements in (
        ["insert into {t} (code, n) values ('d', 5), ('z', 6)"],
        ["update {t} set n = n + 10 where code in ('a', 'y')"],
        ["update {t} set n = 0, code = 'e' where code = 'b'", "insert into {t} (code) values ('f')"],
    ):
        forms.arrive(*(text for statement in statements for text in each(statement)))


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_what_a_statement_trigger_of_the_application_writes_arrives(forms: Journey, name: str) -> None:
    prepare(forms, AFTER.replace("{body}", "update {t} set n = n + 1; delete from {t} where n > 100;"))
    events = "after insert or update on {t} when (pg_trigger_depth() = 0)"
    prepare(forms, f"create trigger {name} {events} execute function {{t}}_after()")
    arrive(forms, "insert into {t} (code, n) values ('d', 100), ('z', 6)")
    arrive(forms, "update {t} set code = 'e' where code = 'b'")


def test_a_write_that_a_deferred_constraint_refuses_at_commit_is_not_captured(forms: Journey) -> None:
    prepare(forms, AFTER.replace("{body}", "raise 'refused' using errcode = 'check_violation';"))
    prepare(forms, FIRING["rows of a deferred constraint"].replace("{name}", "zzz"))
    for table in TABLES:
        with pytest.raises(psycopg.errors.CheckViolation), closing(forms.source.connect()) as writer:
            writer.execute(f"insert into {table} (code) values ('d')")
        assert changes(forms.source, table) == []


def test_a_trigger_of_another_table_that_writes_a_captured_one_is_captured(forms: Journey) -> None:
    forms.source.script("""
        create table feed (code text, n integer);
        create function spread() returns trigger language plpgsql as $$ begin
            insert into plain (code, n) values (new.code, new.n) on conflict (code) do update set n = excluded.n;
            merge into split t using (values (new.code, new.n)) s (code, n) on t.code = s.code
                when matched then update set n = s.n when not matched then insert (code, n) values (s.code, s.n);
            return null;
        end $$;
        create trigger spread after insert on feed for each row execute function spread();
    """)
    forms.arrive("insert into feed values ('a', 50), ('z', 51), ('z', 52)")
    assert by_natural_key(forms.target, forms.shapes[2])[("z",)] == (52, None)
