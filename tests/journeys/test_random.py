"""Whatever random transactions do to random tables, the server equals the source by natural key afterwards."""

import sqlite3
from pathlib import Path

import psycopg
from hypothesis import given, settings

from cdc_sync.config import Config
from tests.journeys.random_schemas import OTHER_ID, Plan, Program, Schema, Step, Transaction, programs, quoted
from tests.nodes import Shape, Side, compare, contents, install, replicate, status, waiting, write_config


def test_after_random_transactions_the_server_equals_the_source_by_natural_key(
    pair: tuple[Side, Side], tmp_path: Path
) -> None:
    """One source and one target for all examples, emptied in between: making a database costs more than an example."""
    ran, count = 0, min(200, settings().max_examples)

    @settings(max_examples=count)
    @given(programs())
    def holds(program: Program) -> None:
        nonlocal ran
        play(*pair, tmp_path, program)
        ran += 1

    holds()
    assert ran >= count


def play(source: Side, target: Side, folder: Path, program: Program) -> None:
    """Run a program on the source and compare; the target's own rows, one in each table, must stay as they were."""
    schema, transactions = program
    for side in (source, target):
        side.clear()
        for statement in schema.ddl(side.kind):
            side.run(statement)
    stand_apart(target, schema)
    shapes = [shape(schema, plan) for plan in schema]
    others = contents(target, shapes)
    config = write_config(folder, "random", source, target, {plan.name: plan.key for plan in schema})
    install(config)
    for transaction in transactions:
        transact(source, transaction)
        if transaction.replicate:
            replicate(config)
    replicate(config)
    compare(source, target, *shapes, others=others)
    assert_nothing_waits(config)


def stand_apart(target: Side, schema: Schema) -> None:
    """Give each table a row of the target's own, so that rows that arrive get other ids than at the source."""
    for plan in schema:
        row = schema.other(plan)
        marks = ", ".join("?" * len(row))
        target.run(f'insert into "{plan.name}" ({quoted(row)}) values ({marks})', tuple(row.values()))
        if target.kind == "postgresql" and plan.form == "local":
            target.run(f'alter table "{plan.name}" alter column id restart with {OTHER_ID + 1}')


def shape(schema: Schema, plan: Plan) -> Shape:
    """Every column of a table except local ids, every reference followed to the natural key that it stands for."""
    rest = [column for column in plan.columns if column not in plan.key]
    return Shape(
        plan.name,
        key=tuple(path for column in plan.key for path in schema.paths(plan, column)),
        columns=tuple(path for column in rest for path in schema.paths(plan, column)),
    )


def transact(source: Side, transaction: Transaction) -> None:
    source.run("begin")
    for step in transaction.steps:
        attempt(source, step)
    source.run("commit" if transaction.commits else "rollback")


def attempt(source: Side, step: Step) -> None:
    """Run a step that may violate a constraint; then it leaves nothing behind."""
    source.run("savepoint attempt")
    try:
        for statement in step:
            source.run(statement)
    except (sqlite3.IntegrityError, psycopg.errors.IntegrityError):
        source.run("rollback to savepoint attempt")
    source.run("release savepoint attempt")


def assert_nothing_waits(config: Config) -> None:
    assert waiting(config) == 0
    report = status(config)
    for destination in report.destinations:
        assert (destination.stored, destination.applied) == (report.sealed, report.sealed)
