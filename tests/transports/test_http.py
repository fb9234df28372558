"""The road over HTTP, between a real server on a real port and a node: what arrives, what is refused, what is kept."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.commands.conftest import ours
from tests.conftest import Make
from tests.nodes import Shape as Compared
from tests.nodes import compare, replicate, waiting
from tests.serving import SUBJECT, Clinic, enrol, laptop, section, serving, write

SHAPE = Compared("subject", ("code",), ("note",))


@pytest.fixture
def start(make_side: Make, tmp_path: Path) -> Iterator["Start"]:
    with ExitStack() as stack:
        yield Start(make_side, tmp_path, stack)


class Start:
    """Makes a clinic: ``kinds`` are the databases of its laptop and of its server."""

    def __init__(self, make_side: Make, folder: Path, stack: ExitStack) -> None:
        self.make_side = make_side
        self.folder = folder
        self.stack = stack

    def __call__(
        self, kinds: str = "sqlite-sqlite", *, enrolled: bool = True, node: str = "", **serve: object
    ) -> Clinic:
        source, target = (self.make_side(k, n) for k, n in zip(kinds.split("-"), ("source", "target"), strict=True))
        for side in (source, target):
            side.script(SUBJECT)
        server = write(self.folder, "community", target, section("[serve]", listen="127.0.0.1:0", **serve), node=node)
        served = self.stack.enter_context(serving(server))
        clinic = Clinic(served, laptop(self.folder, source, served), source, target)
        if enrolled:
            enrol(server, clinic.config)
        return clinic


@pytest.mark.parametrize("kinds", ["sqlite-postgresql", "postgresql-sqlite", "postgresql-postgresql", "sqlite-sqlite"])
def test_batches_arrive_and_their_receipt_is_signed(start: Start, kinds: str) -> None:
    clinic = start(kinds)
    clinic.add("s1", "s2")
    (delivered,) = replicate(clinic.config)
    assert (delivered.receipt.stored, delivered.receipt.applied) == (1, 1)
    clinic.source.run("update subject set note = 'seen' where code = 's1'")
    clinic.source.run("delete from subject where code = 's2'")
    replicate(clinic.config)
    compare(clinic.source, clinic.target, SHAPE)
    assert waiting(clinic.config) == 0
    kept = clinic.source.rows(
        f"select giver, applied, data is not null, signature is not null from {ours(clinic.source)}receipt"
    )
    assert kept == [("community", 2, True, True)]


def test_who_is_not_enrolled_is_refused_and_loses_nothing(start: Start) -> None:
    clinic = start(enrolled=False)
    clinic.add("s1")
    from cdc_sync.errors import ConfigError

    with pytest.raises(ConfigError, match="key of 'community' is not known here") as caught:
        replicate(clinic.config)
    assert "enroll --with CODE --at community" in caught.value.hint
    enrol(clinic.served.config, clinic.config)
    replicate(clinic.config)
    assert clinic.arrived() == ["s1"]
