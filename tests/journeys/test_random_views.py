"""Whatever is written to a table or through views over it, the server's side is what the views show."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_sync.config import Config
from tests.journeys import random_views as random
from tests.journeys.random_views import Program, Schema, View
from tests.nodes import Side, install, letters, replicate, write_config

MOST = 25
"""Examples for each pair under the deep profile: 200 for each took 20 minutes, and found no more than these."""

REFUSED = (sqlite3.IntegrityError, psycopg.errors.IntegrityError)


def rows(side: Side, view: View) -> list[tuple[object, ...]]:
    """What a view, or a table of its name, shows; its table's own number is each database's own."""
    names = [name for name, _ in view.columns if view.plain.get(name) != "id"]
    return sorted(side.rows(f'select {random.quoted(names)} from "{view.name}"'), key=repr)


def play(side: Side, program: Program) -> None:
    for statements in program:
        with contextlib.suppress(*REFUSED), side.transaction():
            for statement in statements:
                side.run(statement)


def examples() -> int:
    """How many are played; a third of them outside of the deep profile."""
    return min(MOST, settings().max_examples // 3)


def test_the_server_holds_what_the_views_show(pair: tuple[Side, Side], tmp_path: Path) -> None:
    hold(pair, tmp_path, random.schemas(), Schema.landing, st.booleans())


def test_the_servers_views_show_what_the_nodes_views_show(pair: tuple[Side, Side], tmp_path: Path) -> None:
    """They are views over one table there too, and rows move from one to another."""
    hold(pair, tmp_path, random.proxies(), lambda _schema, view: view.ddl(), st.just(value=False))


def hold(
    pair: tuple[Side, Side],
    folder: Path,
    schemas: st.SearchStrategy[Schema],
    landing: Callable[[Schema, View], str],
    tables: st.SearchStrategy[bool],
) -> None:
    """One source and one target for all examples, emptied in between: making a database costs more than an example."""
    count, ran = examples(), 0

    @settings(max_examples=count)
    @given(st.data(), schemas, tables)
    def holds(data: st.DataObject, schema: Schema, table: bool) -> None:
        nonlocal ran
        begin(*pair, schema, landing=landing)
        play(pair[0], data.draw(random.programs(schema), label="before"))
        config = configured(*pair, folder, schema, table=table)
        install(config, include_existing=True)
        check(*pair, config, schema, table=table)
        for _ in range(2):
            play(pair[0], data.draw(random.programs(schema), label="then"))
            check(*pair, config, schema, table=table)
        ran += 1

    holds()
    assert ran >= count


def begin(source: Side, target: Side, schema: Schema, *, landing: Callable[[Schema, View], str]) -> None:
    for side in (source, target):
        side.clear()
        side.script(schema.table(side.kind))
    for view in schema.views:
        source.run(view.ddl())
        target.run(landing(schema, view))
    if source.kind == "sqlite":
        for trigger in random.through(schema):
            source.run(trigger)


def configured(source: Side, target: Side, folder: Path, schema: Schema, *, table: bool) -> Config:
    tables = {"item": schema.key} if table else {}
    return write_config(folder, "laptop", source, target, tables, views={v.name: v.key for v in schema.views})


def check(source: Side, target: Side, config: Config, schema: Schema, *, table: bool) -> None:
    replicate(config)
    for view in schema.views:
        assert rows(target, view) == rows(source, view)
    if table:
        item = "select code, part, kind, n, m, t from item order by code, part"
        assert target.rows(item) == source.rows(item)
    assert letters(target) == []
