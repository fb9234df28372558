"""A view that is no proxy of one table is told why, in one sentence that names the clause."""

from collections.abc import Mapping

import pytest

from cdc_sync import databases
from cdc_sync.databases import Mode
from tests.conftest import Make
from tests.databases import refused_views as refused

CASES = {
    "sqlite": (refused.SCHEMA + refused.SQLITE, refused.BOTH | refused.ONLY_SQLITE),
    "postgresql": (refused.SCHEMA + refused.POSTGRESQL, refused.BOTH | refused.ONLY_POSTGRESQL),
}


@pytest.mark.parametrize("kind", CASES)
def test_every_view_that_is_no_proxy_is_told_why(make_side: Make, kind: str) -> None:
    schema, cases = CASES[kind]
    side = make_side(kind, "source")
    if kind == "sqlite":
        side.connection.create_collation("mine", lambda one, other: (one > other) - (one < other))
    side.script(schema)
    said: dict[str, str] = {}
    with databases.connect(side.url, side.folder) as database:
        for query in cases:
            side.run(f"create view v as {query}")
            with database.begin(Mode.READ) as session:
                table = database.describe(session, ["v"])["v"]
            assert table.view is not None
            assert table.view.base is None
            assert table.view.expressions == ()
            said[query] = table.view.refusal
            side.run("drop view v")
    assert differing(said, {query: f"view 'v' is no proxy of one table: {why}" for query, why in cases.items()}) == {}


def differing(found: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {query: (found[query], said) for query, said in expected.items() if found[query] != said}
