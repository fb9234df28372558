"""Each view that is a proxy shows of its table what the database shows, over the table and over its changes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc_sync import databases
from cdc_sync.core import views
from cdc_sync.core.change import View
from cdc_sync.databases import Database, Mode
from cdc_sync.wanted import wanted
from tests.conftest import Make
from tests.databases import accepted_views as accepted
from tests.nodes import Side, install, write_config

CASES = {
    "sqlite": (accepted.SQLITE, accepted.SQLITE_ROWS, accepted.BOTH | accepted.ONLY_SQLITE),
    "postgresql": (accepted.POSTGRESQL, accepted.POSTGRESQL_ROWS, accepted.BOTH | accepted.ONLY_POSTGRESQL),
}


def made(side: Side) -> dict[str, str]:
    """Make the views of this database; what is special about each, by its name."""
    named = {}
    for i, (what, text) in enumerate(CASES[side.kind][2].items()):
        text = text if text.startswith("(") else f"as {text}"
        side.run(f"create view v{i} {text}")
        named[f"v{i}"] = what
    return named


class Shown:
    """A database in which every view stands over a table whose rows have been captured."""

    def __init__(self, side: Side, database: Database, change: str, named: dict[str, str]) -> None:
        self.side, self.database, self.change, self.named = side, database, change, named

    def view(self, name: str) -> View:
        with self.database.begin(Mode.READ) as session:
            found = self.database.describe(session, [name])[name].view
        assert found is not None
        return found

    def rows(self, view: View, relation: str, where: str = "true") -> Counter[Any]:
        """What the view's own texts select from a relation with its base's columns."""

        def rendered(text: str) -> str:
            return views.render(text, self.side.kind, lambda name: "r." + views.quoted(name), view.base)

        listed = ", ".join(f"{rendered(text)} as c{i}" for i, (_, text) in enumerate(view.expressions))
        condition = f"({rendered(view.condition)})" if view.condition else "true"
        return self.selected(f"(select {listed} from {relation} r where {where} and {condition})")

    def selected(self, query: str) -> Counter[Any]:
        """Rows, each with how often it comes; PostgreSQL's as text, as not every date is one in Python."""
        what = "q::text" if self.side.kind == "postgresql" else "*"
        return Counter(tuple(map(repr, row)) for row in self.side.rows(f"select {what} from {query} as q"))


@pytest.fixture(params=["sqlite", "postgresql"])
def shown(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Iterator[Shown]:
    side = make_side(request.param, "source")
    schema, rows, _ = CASES[side.kind]
    side.script(schema)
    config = write_config(tmp_path, "source", side, make_side("sqlite", "target"), {"item": ["id"]})
    install(config)
    side.script(rows)
    named = made(side)
    with databases.connect(side.url, side.folder) as database:
        with database.begin(Mode.READ) as session:
            (capture,) = wanted(session, config.tables).captures
        change = views.quoted(capture.tracked.change)
        yield Shown(side, database, f"cdc_sync.{change}" if side.kind == "postgresql" else change, named)


def test_every_view_is_a_proxy(shown: Shown) -> None:
    assert {what: refusal for name, what in shown.named.items() if (refusal := shown.view(name).refusal)} == {}


def test_every_view_shows_over_its_table_what_it_shows(shown: Shown) -> None:
    for name, what in shown.named.items():
        assert shown.rows(shown.view(name), "item") == shown.selected(name), what


def test_every_view_shows_over_changes_what_it_shows_over_its_table(shown: Shown) -> None:
    for name, what in shown.named.items():
        if what != "a generated column as it is" and not what.startswith("all columns"):
            found = shown.rows(shown.view(name), shown.change, "r.cdc_sync_op = 'I'")
            assert found == shown.selected(name), what


def test_views_select_something_and_not_everything(shown: Shown) -> None:
    sizes = {what: shown.selected(name).total() for name, what in shown.named.items()}
    assert {what: size for what, size in sizes.items() if size == 0} == {}
    assert any(0 < size < 6 for size in sizes.values())
