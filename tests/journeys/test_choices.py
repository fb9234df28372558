"""What the DBA chooses per table: a row filter, operations that travel, wildcards, references, how triggers fire."""

from pathlib import Path

import pytest

from cdc_sync.config import Config
from cdc_sync.errors import ConfigError
from tests.conftest import Make
from tests.nodes import Shape, Side, by_natural_key, compare, install, replicate, status, write_config

SCHEMA = """
create table subject (id {pk}, code text not null unique, status text, note text);
create table visit (id {pk}, code text not null, note text, subject_id integer not null references subject (id),
    unique (subject_id, code));
"""
SUBJECT = Shape("subject", ("code",), ("status", "note"))
VISIT = Shape("visit", ("subject_id>subject.code", "code"), ("note",))
FINAL = {"key": ["code"], "where": "status <> 'draft'"}


def node(pair: tuple[Side, Side], folder: Path, **subject: object) -> tuple[Config, Side, Side]:
    source, target = pair
    for side in pair:
        side.script(SCHEMA)
    entry = {"key": ["code"], **subject}
    config = write_config(folder, "laptop", source, target, {"subject": entry, "visit": ["subject_id", "code"]})
    install(config)
    return config, source, target


def codes(side: Side) -> list[str]:
    return [code for (code,) in side.rows("select code from subject order by code")]


def test_rows_enter_and_leave_the_filter(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config, source, target = node(pair, tmp_path, where="status <> 'draft'")
    source.run(
        "insert into subject (code, status) values ('s1', 'final'), ('s2', 'draft'), ('s3', 'final'), ('s4', null)"
    )
    replicate(config)
    assert codes(target) == ["s1", "s3"]
    source.run("update subject set status = 'final', note = 'entered' where code = 's2'")
    source.run("update subject set status = 'draft', code = 's9' where code = 's1'")
    source.run("update subject set note = 'n' where code in ('s3', 's4')")
    replicate(config)
    assert by_natural_key(target, SUBJECT) == {("s2",): ("final", "entered"), ("s3",): ("final", "n")}


def test_a_row_that_never_passed_the_filter_deletes_nothing_at_the_server(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    """Another node's row may have the key of a draft here."""
    config, source, target = node(pair, tmp_path, where="status <> 'draft'")
    target.run("insert into subject (code, status) values ('s1', 'theirs')")
    source.run("insert into subject (code, status) values ('s1', 'draft')")
    replicate(config)
    source.run("update subject set note = 'x'")
    replicate(config)
    source.run("delete from subject")
    replicate(config)
    assert codes(target) == ["s1"]


def test_within_one_batch_a_row_passes_the_filter_and_leaves_it_again(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config, source, target = node(pair, tmp_path, where="status <> 'draft'")
    source.run("insert into subject (code, status) values ('s1', 'draft'), ('s2', 'final'), ('s3', 'draft')")
    for status_ in ("final", "draft", "final"):
        source.run("update subject set status = ? where code = 's1'", (status_,))
    source.run("update subject set status = 'draft' where code = 's2'")
    source.run("update subject set id = id + 100")
    replicate(config)
    assert codes(target) == ["s1"]
    source.run("update subject set id = id + 1000")
    source.run("delete from subject where code = 's1'")
    replicate(config)
    assert codes(target) == []


def test_a_changed_filter_takes_rows_off_the_server_and_brings_others(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config, source, target = node(pair, tmp_path, where="status <> 'draft'")
    source.run("insert into subject (code, status) values ('s1', 'final'), ('s2', 'draft'), ('s3', 'old')")
    replicate(config)
    assert codes(target) == ["s1", "s3"]
    entry = {"key": ["code"], "where": "status in ('draft', 'final')"}
    config = write_config(tmp_path, "laptop", source, target, {"subject": entry, "visit": ["subject_id", "code"]})
    install(config)
    replicate(config)
    assert codes(target) == ["s1", "s2"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("status <> ", "cannot be read"),
        ("stauts <> 'draft'", "'stauts'"),
        ("id in (select subject_id from visit)", "subquery"),
        ("count(id) > 1", "aggregate"),
        ("status = current_date", "time"),
        ("frobnicate(status)", "frobnicate"),
        ("visit.note = 'x'", "'visit'"),
        ("status ~ '^d'", "cannot be read"),
    ],
)
def test_a_filter_that_cannot_be_carried_over_is_refused_by_name(
    make_side: Make, tmp_path: Path, where: str, words: str
) -> None:
    source = make_side("sqlite", "source")
    source.script(SCHEMA)
    config = write_config(tmp_path, "laptop", source, source, {"subject": {"key": ["code"], "where": where}})
    with pytest.raises(ConfigError, match=words) as raised:
        install(config)
    assert "'subject'" in str(raised.value)
    assert raised.value.hint


def test_only_the_operations_that_the_dba_names_travel(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config, source, target = node(pair, tmp_path, operations=["insert", "update"])
    source.run("insert into subject (code, note) values ('s1', 'a'), ('s2', 'b')")
    replicate(config)
    source.run("delete from subject where code = 's1'")
    source.run("update subject set note = 'c' where code = 's2'")
    replicate(config)
    assert by_natural_key(target, SUBJECT) == {("s1",): (None, "a"), ("s2",): (None, "c")}
    assert [table.unsealed for table in status(config).tables] == [0, 0]


def test_updates_that_change_nothing_are_left_out(pair: tuple[Side, Side], tmp_path: Path) -> None:
    config, source, target = node(pair, tmp_path, skip_unchanged=True)
    source.run("insert into subject (code, status, note) values ('s1', 'a', 'a'), ('s2', 'b', null)")
    replicate(config)
    source.run("update subject set note = note, code = code")
    assert [table.unsealed for table in status(config).tables] == [0, 0]
    source.run("update subject set note = 'A' where code = 's1'")
    source.run("update subject set note = '' where code = 's2'")
    source.run("update subject set id = id + 100")
    replicate(config)
    compare(source, target, SUBJECT)


def test_an_update_that_changes_the_case_or_the_class_of_a_value_is_not_left_out(
    make_side: Make, tmp_path: Path
) -> None:
    source, target = make_side("sqlite", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script("create table t (id {pk}, code text not null unique, note text collate nocase, any_)")
    config = write_config(tmp_path, "laptop", source, target, {"t": {"key": ["code"], "skip_unchanged": True}})
    install(config)
    source.run("insert into t (code, note, any_) values ('s1', 'a', 1), ('s2', 'b', 2)")
    replicate(config)
    source.run("update t set note = 'A' where code = 's1'")
    source.run("update t set any_ = 2.0 where code = 's2'")
    replicate(config)
    query = "select code, note, any_, typeof(any_) from t order by code"
    assert target.rows(query) == source.rows(query) == [("s1", "A", 1, "integer"), ("s2", "b", 2.0, "real")]


def test_a_wildcard_stands_for_tables_with_exceptions_and_an_entry_of_its_own_goes_first(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    source, target = pair
    for side in pair:
        for name in ("clinic_a", "clinic_b", "clinic_log", "other"):
            side.script(f"create table {name} (id {{pk}}, code text not null unique, note text);")
    tables = {
        "clinic_*": {"key": ["code"], "except": ["clinic_log"]},
        "clinic_b": {"key": ["code"], "exclude": ["note"]},
    }
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    for name in ("clinic_a", "clinic_b", "clinic_log", "other"):
        source.run(f"insert into {name} (code, note) values ('s1', 'x')")
    replicate(config)
    found = {name: target.rows(f"select code, note from {name}") for name in ("clinic_a", "clinic_b", "clinic_log")}
    assert found == {"clinic_a": [("s1", "x")], "clinic_b": [("s1", None)], "clinic_log": []}


def test_a_reference_is_looked_up_and_not_captured(pair: tuple[Side, Side], tmp_path: Path) -> None:
    source, target = pair
    for side in pair:
        side.script("create table subject (id {pk}, code text not null unique, other text not null unique);")
        side.script(
            "create table visit (id {pk}, code text not null unique, subject_id integer references subject (id));"
        )
    source.run("insert into subject (id, code, other) values (1, 'c1', 'o1')")
    target.run("insert into subject (id, code, other) values (7, 'c2', 'o1')")
    tables = {"subject": {"key": ["other"], "reference": True}, "visit": ["code"]}
    config = write_config(tmp_path, "laptop", source, target, tables)
    install(config)
    source.run("insert into visit (code, subject_id) values ('v1', 1)")
    source.run("update subject set code = 'stays here'")
    replicate(config)
    assert target.rows("select code, subject_id from visit") == [("v1", 7)]
    assert target.rows("select code from subject") == [("c2",)]


def test_row_level_capture_misses_nothing(make_side: Make, tmp_path: Path) -> None:
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(
            "create table visit (code text not null, year integer not null, note text, primary key (code, year))"
        )
    source.script(
        "drop table visit; create table visit (code text not null, year integer not null, note text,"
        " primary key (code, year)) partition by range (year);"
        "create table visit_old partition of visit for values from (2000) to (2020);"
        "create table visit_new partition of visit for values from (2020) to (2040);"
    )
    entry = {"key": ["code", "year"], "capture": "row", "skip_unchanged": True}
    config = write_config(tmp_path, "clinic", source, target, {"visit": entry})
    install(config)
    shape = Shape("visit", ("code", "year"), ("note",))
    source.run("insert into visit (code, year, note) values ('a', 2001, 'x'), ('b', 2001, 'x'), ('a', 2021, 'x')")
    source.run("update visit set year = 2022 where year = 2001 and code = 'a'")
    source.run("update visit_old set code = 'c'")
    source.run("update visit set note = note")
    assert sum(table.unsealed for table in status(config).tables) == 6
    replicate(config)
    compare(source, target, shape)
    source.run("truncate visit_old")
    source.run("create table visit_late partition of visit for values from (2040) to (2060)")
    source.run("insert into visit_late (code, year) values ('late', 2041)")
    source.run("delete from visit where year = 2021")
    replicate(config)
    compare(source, target, shape)
    assert len(by_natural_key(target, shape)) == 2


def test_writes_under_another_replication_are_captured(make_side: Make, tmp_path: Path) -> None:
    """Native logical replication, and tools that set session_replication_role, keep ordinary triggers from firing."""
    source, target = make_side("postgresql", "source"), make_side("sqlite", "target")
    for side in (source, target):
        side.script(SCHEMA)
    config = write_config(tmp_path, "clinic", source, target, {"subject": ["code"]})
    install(config)
    source.run("set session_replication_role = replica")
    source.run("insert into subject (code) values ('s1')")
    source.run("reset session_replication_role")
    replicate(config)
    assert codes(target) == ["s1"]
