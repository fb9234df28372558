"""The road to a source over HTTP: what a relay may fetch there, and the receipts that it brings."""

import pytest

from cdc_sync import databases, identity, peers, roads
from cdc_sync.core import receipts as core
from cdc_sync.core.receipts import Receipt
from cdc_sync.databases import Mode
from cdc_sync.errors import Forbidden, RejectedBatch, RejectedReceipt
from cdc_sync.transports import remote
from tests.batches import Maker
from tests.nodes import install, replicate, waiting
from tests.serving import KEYS, SUBJECT, enrol, section, serving, synced, write
from tests.transports.conftest import Start


class Laptop:
    """A laptop that serves: its batches are fetched, because its destination has no URL there."""

    def __init__(self, start: Start) -> None:
        self.side = start.make_side("sqlite", "source")
        self.side.script(SUBJECT)
        goal = section("[[destinations]]", name="community")
        listens = section("[serve]", listen="127.0.0.1:0")
        self.config = write(start.folder, "laptop", self.side, synced(KEYS), goal, listens)
        install(self.config)
        self.side.run("insert into subject (code) values ('s1')")
        replicate(self.config)
        self.served = start.stack.enter_context(serving(self.config))
        self.start = start

    def offer(self, *options: str) -> remote.RemoteOffer:
        """The road of a driver that is enrolled with these options."""
        side = self.start.make_side("sqlite", "driver")
        source = section("[[sources]]", name="laptop", url=self.served.url)
        config = write(self.start.folder, "driver", side, source, node="relay = true")
        enrol(self.config, config, *options)
        database = databases.connect(config.node.database, config.folder)
        road = roads.open_offer(config, config.sources[0], database, identity.load(config.key_path))
        assert isinstance(road, remote.RemoteOffer)
        self.start.stack.callback(road.close)
        return road


def test_a_relay_fetches_batches_as_they_were_signed(start: Start) -> None:
    node = Laptop(start)
    road = node.offer("--relay")
    (chain,) = road.offers()
    assert (chain.origin, chain.first, chain.last) == ("laptop", 1, 1)
    for _ in range(2):
        frame = road.fetch(chain.origin, chain.epoch, 1)
        assert frame.sealed.digest == chain.digest
        assert len(list(frame.parts)) == 1
    with pytest.raises(RejectedBatch, match="batch 2 of node 'laptop' is not held here"):
        road.fetch(chain.origin, chain.epoch, 2)


def test_batches_are_fetched_by_relays_and_destinations_only(start: Start) -> None:
    road = Laptop(start).offer()
    assert road.offers() == []
    with pytest.raises(Forbidden, match="'driver' may not fetch batches here"):
        road.fetch("laptop", "e1", 1)


def test_receipts_that_are_brought_let_batches_go(start: Start) -> None:
    node, community = Laptop(start), Maker("community")
    road = node.offer("--relay")
    (chain,) = road.offers()
    with databases.connect(node.config.node.database) as database, database.begin(Mode.WRITE) as session:
        peers.learn(session, "community", community.public)
    receipt = Receipt(
        version=1,
        giver="community",
        origin="laptop",
        epoch=chain.epoch,
        stored=1,
        applied=1,
        digest=chain.digest,
        applied_digest=chain.digest,
        given_at="2026-01-01",
    )
    with pytest.raises(RejectedReceipt, match=r"source 'laptop' answers: .*another key"):
        road.bring([core.sign(receipt, Maker("community").key)])
    assert waiting(node.config) == 1
    road.bring([core.sign(receipt, community.key)])
    assert waiting(node.config) == 0
    assert road.receipts()[0].data == core.sign(receipt, community.key).data


def test_a_source_that_a_node_enrols_at_may_write_there(start: Start) -> None:
    node = Laptop(start)
    side = start.make_side("sqlite", "driver")
    config = write(start.folder, "driver", side, section("[[sources]]", name="laptop", url=node.served.url))
    enrol(node.config, config, "--relay")
    with databases.connect(config.node.database) as database, database.begin(Mode.READ) as session:
        peer = peers.find(session, "laptop")
    assert peer is not None
    assert peer.grants is None
