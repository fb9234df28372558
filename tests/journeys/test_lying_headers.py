"""What a batch's signed header says of its rows is what its origin was let in for: its rows may do nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync import apply, databases, receive
from cdc_sync.core.conflicts import Policies
from cdc_sync.errors import RejectedBatch
from tests.batches import Maker
from tests.nodes import Side


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("op", ["D", "U", "K"])
def test_a_row_of_an_operation_that_the_header_does_not_name_is_refused_with_its_batch(
    make_side: Callable[..., Side], kind: str, op: str
) -> None:
    server, laptop = make_side(kind, "server"), Maker("laptop")
    server.script("create table subject (id {pk}, code text not null unique);")
    server.run("insert into subject (code) values ('s1')")
    with databases.connect(server.url, Path()) as database:
        receive.prepare(database)
        receive.store(database, *laptop.seal(["s2", "s1"], op=op, counts={"I": 2}))
        with pytest.raises(RejectedBatch, match="other operations than its header says"):
            apply.apply_next(database, "laptop", "e1", Policies())
    assert server.rows("select code from subject") == [("s1",)]
