"""Batches on their way through other nodes: a driver who only carries, and a server that applies and passes on.

Here over connections to databases; over real ports in test_relay_flows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cdc_sync import databases, held, peers
from cdc_sync import status as node_status
from cdc_sync.config import Config
from cdc_sync.core import chain, device
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import CdcSyncError, ConfigError
from tests.commands.conftest import run
from tests.conftest import Make
from tests.nodes import Side, install, replicate
from tests.serving import section, synced, write

SCHEMA = """
create table subject (id {pk}, code text not null unique, note text);
create table visit (id {pk}, subject_id integer not null references subject (id), number integer not null,
    unique (subject_id, number));
"""
KEYS = {"subject": ["code"], "visit": ["subject_id", "number"]}
KINDS = (("sqlite", "sqlite", "postgresql"), ("postgresql", "postgresql", "sqlite"))
"""Of laptops, the driver's laptop and the central server, and of the community server."""


class Tiers:
    """Laptops, a driver, a community server and a central one; each reaches the next one's database."""

    def __init__(self, make_side: Make, folder: Path, kinds: tuple[str, str, str]) -> None:
        self.make_side, self.folder = make_side, folder
        self.kind, end, middle = kinds
        self.car, self.clinic, self.centre = (
            make_side(self.kind, "car"),
            make_side(middle, "clinic"),
            make_side(end, "centre"),
        )
        for side in (self.clinic, self.centre):
            side.script(SCHEMA)
        central = section("[[destinations]]", name="central", url=self.centre.url)
        self.community = write(folder, "community", self.clinic, central, node="relay = true\napply = true")
        self.key = public(self.community)
        goal = section("[[destinations]]", name="community", url=self.clinic.url, key=self.key)
        self.driver = write(folder, "driver", self.car, goal, node="relay = true")
        public(self.driver)

    def laptop(self, name: str, *more: str) -> tuple[Side, Config]:
        """A laptop that reaches the driver only, and waits for what the community server says."""
        side = self.make_side(self.kind, name)
        side.script(SCHEMA)
        ways = [
            section("[[destinations]]", name="driver", url=self.car.url, final=False),
            section("[[destinations]]", name="community", key=self.key),
        ]
        config = write(self.folder, name, side, synced(KEYS), *(more or ways))
        install(config)
        return side, config

    def everywhere(self, *names: str) -> None:
        """One round of each, in this order."""
        for name in names:
            replicate({"driver": self.driver, "community": self.community}[name])


@pytest.fixture(params=KINDS, ids=lambda kinds: kinds[0])
def tiers(request: pytest.FixtureRequest, make_side: Make, tmp_path: Path) -> Tiers:
    return Tiers(make_side, tmp_path, request.param)


@pytest.fixture
def some_tiers(make_side: Make, tmp_path: Path) -> Tiers:
    """For what does not depend on the kinds of databases."""
    return Tiers(make_side, tmp_path, KINDS[0])


def public(config: Config) -> str:
    """The node's public key as its DBA shows it; from now on the database knows what the node does."""
    result = run("enroll --show", config)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[1].strip()


@contextmanager
def opened(config: Config) -> Iterator[Database]:
    with databases.connect(config.node.database, config.folder) as database:
        yield database


def chain_of(config: Config) -> tuple[str, str]:
    with opened(config) as database, database.begin(Mode.READ) as session:
        name, epoch, _ = session.run("node")[0]
    return name, epoch


def carried(config: Config, of: Config) -> list[tuple[bytes, bytes, bytes, list[bytes]]]:
    """The batches of a node that lie at another: header, signature, public key and parts, byte for byte."""
    with opened(config) as database:
        first = held.first(database, *chain_of(of))
        batches = [] if first is None else held.after(database, *chain_of(of), first - 1)
        return [(b.sealed.header, b.sealed.signature, b.sealed.public_key, list(b.parts())) for b in batches]


def kept(config: Config) -> int:
    """Changes of its own that a node keeps."""
    with opened(config) as database, database.begin(Mode.READ) as session:
        return int(session.run("outbox_unreleased")[0][0])


def visits(side: Side) -> list[tuple[str, int]]:
    return [
        (str(code), int(number))
        for code, number in side.rows(
            "select s.code, v.number from visit v join subject s on s.id = v.subject_id order by 1, 2"
        )
    ]


def enter(side: Side, code: str, first: int = 1) -> None:
    with side.transaction():
        side.run("insert into subject (id, code) values (?, ?)", (first, code))
        side.run("insert into visit (subject_id, number) values (?, 1), (?, 2)", (first, first))


def told(config: Config) -> node_status.Status:
    with opened(config) as database:
        return node_status.status(database, config)


def test_rows_go_through_four_tiers_and_receipts_come_back(tiers: Tiers) -> None:
    one, sends_one = tiers.laptop("laptop-1")
    two, sends_two = tiers.laptop("laptop-2")
    enter(one, "s1")
    enter(two, "s2")
    replicate(sends_one)
    replicate(sends_two)
    sealed = {config.node.name: carried(tiers.driver, config) for config in (sends_one, sends_two)}
    assert [len(batches) for batches in sealed.values()] == [1, 1]
    assert (kept(sends_one), kept(sends_two)) == (3, 3), "carried is not applied"

    tiers.everywhere("driver")
    assert visits(tiers.clinic) == [("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)]
    for config in (sends_one, sends_two):
        assert carried(tiers.community, config) == sealed[config.node.name], "the relay changed bytes"
        assert carried(tiers.driver, config) == [], "what is applied at the final destination is let go"

    tiers.everywhere("community")
    assert visits(tiers.centre) == visits(tiers.clinic)
    assert carried(tiers.community, sends_one) == []
    assert kept(sends_one) == 3
    tiers.everywhere("driver")
    replicate(sends_one)
    assert kept(sends_one) == 0, "the receipt of the community server came home"
    assert (kept(sends_two)) == 3


def test_the_origins_signature_can_be_verified_at_the_centre(some_tiers: Tiers) -> None:
    side, sends = some_tiers.laptop("laptop-1")
    enter(side, "s1")
    replicate(sends)
    some_tiers.everywhere("driver", "community")
    name, epoch = chain_of(sends)
    with databases.connect(some_tiers.centre.url) as database, database.begin(Mode.READ) as session:
        peer = peers.find(session, name)
        assert peer is not None
        assert device.text(peer.public_key, name) == public(sends)
        (batch,) = some_tiers.centre.rows(f"select header, signature from {_ours(some_tiers.centre)}inbox")
        assert [row[:4] for row in session.run("positions")] == [(name, epoch, 1, 1)]
    sealed = chain.Sealed(header=bytes(batch[0]), signature=bytes(batch[1]), public_key=peer.public_key)
    chain.verify(sealed, name, peer.public_key)


def _ours(side: Side) -> str:
    return "cdc_sync." if side.kind == "postgresql" else "cdc_sync_"


def test_a_relay_needs_no_tables_and_never_applies(some_tiers: Tiers) -> None:
    side, sends = some_tiers.laptop("laptop-1")
    enter(side, "s1")
    assert [(d.receipt.stored, d.receipt.applied) for d in replicate(sends)] == [(1, 0)]
    replicate(sends)
    (here,) = told(some_tiers.driver).origins
    assert (here.origin, here.stored, here.applied) == ("laptop-1", 1, 0)
    assert told(some_tiers.driver).waiting
    result = run("replicate --once", some_tiers.driver)
    assert result.exit_code == 0, result.output
    assert "community: laptop-1 applied up to batch 1" in result.stdout
    assert not told(some_tiers.driver).waiting


def test_a_relay_keeps_what_cannot_be_applied_and_nothing_else_waits(tiers: Tiers) -> None:
    """At the community server a table of one laptop's is missing; the other's batches go through."""
    one, sends_one = tiers.laptop("laptop-1")
    two, sends_two = tiers.laptop("laptop-2")
    tiers.clinic.run("alter table visit rename to visit_before")
    enter(one, "s1")
    two.run("insert into subject (code) values ('s2')")
    replicate(sends_one)
    replicate(sends_two)
    with pytest.raises(ConfigError, match="visit"):
        replicate(tiers.driver)
    assert tiers.clinic.rows("select code from subject") == [("s2",)]
    assert len(carried(tiers.driver, sends_one)) == 1
    assert len(carried(tiers.driver, sends_two)) == 0
    tiers.clinic.run("alter table visit_before rename to visit")
    replicate(tiers.driver)
    assert visits(tiers.clinic) == [("s1", 1), ("s1", 2)]
    assert carried(tiers.driver, sends_one) == []


def test_a_server_that_passes_on_keeps_parts_until_the_centre_has_applied(some_tiers: Tiers) -> None:
    side, sends = some_tiers.laptop("laptop-1")
    some_tiers.centre.run("alter table visit rename to visit_before")
    enter(side, "s1")
    replicate(sends)
    some_tiers.everywhere("driver")
    assert visits(some_tiers.clinic) == [("s1", 1), ("s1", 2)]
    with pytest.raises(CdcSyncError):
        some_tiers.everywhere("community")
    assert len(carried(some_tiers.community, sends)) == 1
    some_tiers.centre.run("alter table visit_before rename to visit")
    some_tiers.everywhere("community")
    assert visits(some_tiers.centre) == visits(some_tiers.clinic)
    assert carried(some_tiers.community, sends) == []


def test_a_batch_that_would_stream_is_kept_at_a_server_that_passes_on(make_side: Make, tmp_path: Path) -> None:
    tiers = Tiers(make_side, tmp_path, ("postgresql", "sqlite", "postgresql"))
    direct = section("[[destinations]]", name="community", url=tiers.clinic.url)
    side, sends = tiers.laptop("laptop-1", direct)
    for i in (1, 2, 3):
        enter(side, f"s{i}", i)
        replicate(sends)
    assert kept(sends) == 0
    assert len(carried(tiers.community, sends)) == 3
    tiers.everywhere("community")
    assert visits(tiers.centre) == visits(tiers.clinic) == visits(side)


def test_a_relay_does_without_batches_that_are_applied_already(tiers: Tiers) -> None:
    """The laptop was in reach of the server first, then only of the driver, then of the server, then of the driver."""
    side, sends = tiers.laptop("laptop-1")
    goal = section("[[destinations]]", name="community", url=tiers.clinic.url, key=tiers.key)
    online = write(tiers.folder, "laptop-1", side, synced(KEYS), goal)
    enter(side, "s1", 1)
    replicate(online)
    enter(side, "s2", 2)
    replicate(sends)
    enter(side, "s3", 3)
    replicate(online)
    enter(side, "s4", 4)
    replicate(sends)
    assert kept(sends) == 3
    tiers.everywhere("driver", "community", "driver")
    replicate(sends)
    assert visits(tiers.centre) == visits(tiers.clinic) == visits(side)
    assert kept(sends) == 0
    assert carried(tiers.driver, sends) == []


def test_what_the_destination_refuses_is_told_and_nothing_is_deleted(some_tiers: Tiers) -> None:
    side, sends = some_tiers.laptop("laptop-1")
    enter(side, "s1")
    replicate(sends)
    own = public(sends)
    assert run("enroll laptop-1", some_tiers.community, "--key", own).exit_code == 0
    assert run("revoke laptop-1", some_tiers.community).exit_code == 0
    result = run("replicate --once", some_tiers.driver)
    assert result.exit_code == 1
    assert "revoked" in result.stderr
    (trouble,) = told(some_tiers.driver).troubles
    assert (trouble.peer, trouble.origin) == ("community", "laptop-1")
    text = run("status", some_tiers.driver)
    assert text.exit_code == 3
    assert "was revoked here" in text.stdout
    assert "nothing was deleted" in text.stdout
    doctor = run("doctor", some_tiers.driver)
    assert doctor.exit_code == 3
    assert "was revoked here" in doctor.stdout
    assert len(carried(some_tiers.driver, sends)) == 1
    assert run("enroll laptop-1", some_tiers.community, "--key", own).exit_code == 0
    replicate(some_tiers.driver)
    assert told(some_tiers.driver).troubles == ()
    assert visits(some_tiers.clinic) == [("s1", 1), ("s1", 2)]


def test_a_receipt_of_somebody_unknown_is_handed_on_to_who_knows_the_giver(some_tiers: Tiers) -> None:
    """The laptop waits for the centre as well, of which the driver has never heard."""
    central = write(
        some_tiers.folder,
        "central",
        some_tiers.centre,
        section("[[destinations]]", name="x"),
        node="relay = true\napply = true",
    )
    key = public(central)
    side, sends = some_tiers.laptop(
        "laptop-1",
        section("[[destinations]]", name="driver", url=some_tiers.car.url, final=False),
        section("[[destinations]]", name="community", key=some_tiers.key),
        section("[[destinations]]", name="central", key=key),
    )
    enter(side, "s1")
    replicate(sends)
    some_tiers.everywhere("driver", "community", "driver")
    replicate(sends)
    assert kept(sends) == 3, "the centre has said nothing yet"
    replicate(central)
    some_tiers.everywhere("community", "driver")
    replicate(sends)
    assert kept(sends) == 0


def test_a_relay_that_is_none_any_more_lets_go_of_what_it_has_applied(some_tiers: Tiers) -> None:
    direct = section("[[destinations]]", name="community", url=some_tiers.clinic.url)
    side, sends = some_tiers.laptop("laptop-1", direct)
    enter(side, "s1")
    replicate(sends)
    assert len(carried(some_tiers.community, sends)) == 1
    public(write(some_tiers.folder, "community", some_tiers.clinic))
    assert carried(some_tiers.community, sends) == []


def test_a_relay_without_destinations_is_told_what_is_missing(some_tiers: Tiers) -> None:
    alone = write(some_tiers.folder, "driver", some_tiers.car, node="relay = true")
    with pytest.raises(ConfigError, match="no destinations"):
        replicate(alone)


def test_a_laptop_looks_for_nothing_in_the_tables_of_who_only_carries(some_tiers: Tiers) -> None:
    side, sends = some_tiers.laptop("laptop-1")
    enter(side, "s1")
    replicate(sends)
    found = run("doctor", sends)
    assert (found.exit_code, "driver" in found.stdout) == (0, False), found.stdout
    compared = run("verify", sends)
    assert (compared.exit_code, "no destination is a database" in compared.stderr) == (2, True), compared.output
