"""Receipts that are carried or read over the telephone: kept where they are believed, and only then acted on."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cdc_sync import apply, databases, held, identity, peers, receipts, receive
from cdc_sync import config as configuration
from cdc_sync.config import Config
from cdc_sync.core import device
from cdc_sync.core import receipts as core
from cdc_sync.core.receipts import Signed
from cdc_sync.databases import Database, Mode
from cdc_sync.errors import CdcSyncError, RejectedBatch, RejectedReceipt
from cdc_sync.receipts import Taken
from tests.batches import Maker
from tests.commands.conftest import SUBJECT, complaint, everything, run
from tests.conftest import Make
from tests.nodes import Side, install, replicate, status, write_config


@dataclass
class Pair:
    """A laptop and a server that nothing joins: whatever passes between them is carried by the test."""

    laptop: Config
    server: Config
    field: Side
    clinic: Side
    source: Database
    target: Database

    def write(self, *codes: str) -> None:
        """One batch more."""
        for code in codes:
            self.field.run("insert into subject (code) values (?)", (code,))
        replicate(self.laptop)

    def carry(self, *, applied: bool = True) -> None:
        name, epoch = self.chain()
        stored = receive.position(self.target, name, epoch).stored
        for batch in held.after(self.source, name, epoch, stored):
            receive.store(self.target, batch.sealed, batch.parts(), name)
        while applied and apply.apply_next(self.target, name, epoch, self.server.policies):
            pass

    def chain(self) -> tuple[str, str]:
        with self.source.begin(Mode.READ) as session:
            return tuple(session.run("node")[0][:2])  # type: ignore[return-value]

    def given(self) -> Signed:
        key = peers.own_key(self.target, self.server)
        with self.target.begin(Mode.READ) as session:
            return receipts.give(session, key, "server", *self.chain())

    def take(self, signed: Signed) -> Taken:
        with self.source.begin(Mode.WRITE) as session:
            taken = receipts.take(session, signed)
            receipts.settle(session, self.laptop)
        return taken

    def known(self) -> tuple[int, int, int]:
        """Stored, applied, and how many batches wait, as the laptop says."""
        (there,) = status(self.laptop).destinations
        return there.stored, there.applied, there.waiting_batches

    def code(self) -> str:
        result = run("receipt --for laptop", self.server)
        assert result.exit_code == 0, everything(result)
        return result.stdout.splitlines()[0]

    def kept(self) -> int:
        with self.source.begin(Mode.READ) as session:
            return int(session.run("outbox_unreleased")[0][0])


@pytest.fixture
def pair(make_side: Make, tmp_path: Path, kind: str) -> Iterator[Pair]:
    field, clinic = make_side(kind, "field"), make_side("postgresql" if kind == "sqlite" else "sqlite", "clinic")
    for side in (field, clinic):
        side.script(SUBJECT)
    server = write_config(tmp_path, "server", clinic, {}, {})
    laptop = write_config(tmp_path, "laptop", field, {}, {"subject": ["code"]})
    install(laptop)
    with ExitStack() as stack:
        source, target = (stack.enter_context(databases.connect(c.node.database, c.folder)) for c in (laptop, server))
        receive.prepare(target)
        key = device.text(device.public_of(peers.own_key(target, server)), "server")
        text = laptop.path.read_text() + f'[[destinations]]\nname = "server"\nkey = "{key}"\n'
        laptop.path.write_text(text)
        laptop = configuration.load(laptop.path)
        peers.learn_configured(source, laptop)
        own = device.text(device.public_of(identity.load(laptop.key_path)))
        assert run("enroll laptop", server, "--key", own).exit_code == 0
        yield Pair(laptop, server, field, clinic, source, target)


def test_a_carried_receipt_lets_go_of_what_is_applied(pair: Pair) -> None:
    pair.write("s1")
    pair.write("s2")
    assert pair.known() == (0, 0, 2)
    pair.carry()
    assert pair.kept() == 2, "nothing is let go before the receipt is there"
    assert pair.take(pair.given()) is Taken.NEWER
    assert pair.known() == (2, 2, 0)
    assert pair.kept() == 0


def test_a_receipt_never_says_applied_for_what_is_stored_only(pair: Pair) -> None:
    pair.write("s1")
    pair.carry(applied=False)
    signed = pair.given()
    assert (core.read(signed).stored, core.read(signed).applied) == (1, 0)
    assert pair.take(signed) is Taken.NEWER
    assert pair.known() == (1, 0, 1)
    assert pair.kept() == 1


def test_a_receipt_of_nothing_says_nothing(pair: Pair) -> None:
    pair.write("s1")
    assert pair.take(pair.given()) is Taken.NEWER
    assert pair.known() == (0, 0, 1)


def test_an_older_receipt_never_replaces_a_newer_one(pair: Pair) -> None:
    pair.write("s1")
    pair.carry()
    older = pair.given()
    pair.write("s2")
    pair.carry()
    newer = pair.given()
    assert pair.take(newer) is Taken.NEWER
    assert pair.take(newer) is Taken.KNOWN
    assert pair.take(older) is Taken.OLDER
    assert pair.known() == (2, 2, 0)


def test_a_receipt_of_somebody_unknown_or_by_another_key_changes_nothing(pair: Pair) -> None:
    pair.write("s1")
    pair.carry()
    said = core.read(pair.given())
    thief = Maker("server")
    with pytest.raises(RejectedReceipt, match="signed by another key"):
        pair.take(core.sign(said, thief.key))
    key = peers.own_key(pair.target, pair.server)
    with pair.target.begin(Mode.READ) as session:
        stranger = receipts.give(session, key, "stranger", *pair.chain())
    with pytest.raises(RejectedReceipt, match="'stranger', which is not known here"):
        pair.take(stranger)
    assert pair.known() == (0, 0, 1)
    run("revoke server", pair.laptop)
    with pytest.raises(RejectedReceipt, match="not known here"):
        pair.take(pair.given())


def test_a_receipt_about_another_chain_is_a_fork(pair: Pair) -> None:
    """The laptop was restored from a copy: what the server holds under this number, it has never sealed."""
    pair.write("s1")
    pair.carry()
    said = core.read(pair.given())
    key = peers.own_key(pair.target, pair.server)
    changed = {"stored": said.stored + 1}, {"digest": b"x" * 32}, {"applied_digest": b"x" * 32}
    for change in changed:
        with pytest.raises(RejectedBatch, match="restored from a copy"):
            pair.take(core.sign(replace(said, **change), key))
    assert pair.known() == (0, 0, 1)


def test_a_signed_receipt_is_passed_on_as_it_is(pair: Pair) -> None:
    pair.write("s1")
    pair.carry()
    signed = pair.given()
    pair.take(signed)
    with pair.source.begin(Mode.READ) as session:
        assert receipts.carried(session) == receipts.carried(session, "laptop") == [signed]
        assert receipts.carried(session, "other") == []


def test_a_code_over_the_telephone_lets_go_of_what_is_applied(pair: Pair) -> None:
    pair.write("s1")
    pair.write("s2")
    pair.carry()
    pair.write("s3")
    code = pair.code()
    assert code.startswith("2-")
    for _ in range(2):
        result = run("receipt", pair.laptop, code.lower())
        assert result.exit_code == 0, everything(result)
        assert result.stdout == "server: applied up to batch 2\n"
        assert pair.known() == (2, 2, 1)
        assert pair.kept() == 1


def test_a_code_after_a_newer_receipt_takes_nothing_back(pair: Pair) -> None:
    pair.write("s1")
    pair.carry()
    code = pair.code()
    pair.write("s2")
    pair.carry(applied=False)
    pair.take(pair.given())
    assert run("receipt", pair.laptop, code).exit_code == 0
    assert pair.known() == (2, 1, 1)


@pytest.mark.parametrize("wrong", ["slip", "another batch", "not sealed", "released"])
def test_a_wrong_code_changes_nothing(pair: Pair, wrong: str) -> None:
    pair.write("s1")
    pair.write("s2")
    pair.carry()
    code = pair.code()
    typed = {
        "slip": code[:-1] + ("0" if code[-1] != "0" else "1"),
        "another batch": "1" + code[1:],
        "not sealed": "9" + code[1:],
        "released": "0" + code[1:],
    }[wrong]
    result = run("receipt", pair.laptop, typed)
    assert result.exit_code == 1
    assert "hint: " in result.stderr
    assert pair.known() == (0, 0, 2)
    assert pair.kept() == 2


def test_what_is_no_code_is_said_to_be_none(pair: Pair) -> None:
    error, hint = complaint(run("receipt", pair.laptop, "K7QF"))
    assert "no receipt" in error
    assert "--for" in hint


@pytest.mark.parametrize("options", [(), ("1-K7QF-2M9X", "--for", "laptop")], ids=str)
def test_one_thing_is_asked_for_at_a_time(pair: Pair, options: tuple[str, ...]) -> None:
    complaint(run("receipt", pair.laptop, *options))


def test_no_code_is_given_for_what_is_not_applied(pair: Pair) -> None:
    pair.write("s1")
    pair.carry(applied=False)
    error, _ = complaint(run("receipt --for laptop", pair.server))
    assert "no batch of node 'laptop' is applied here" in error
    error, _ = complaint(run("receipt --for laptop-2", pair.server))
    assert "'laptop-2'" in error


def test_without_a_destinations_key_no_code_is_believed(pair: Pair) -> None:
    pair.write("s1")
    pair.carry()
    code = pair.code()
    pair.laptop.path.write_text(re.sub(r"key = \"ssh.*\n", "", pair.laptop.path.read_text()))
    pair.field.run(f"delete from {'cdc_sync.' if pair.field.kind == 'postgresql' else 'cdc_sync_'}peer")
    error, hint = complaint(run("receipt", configuration.load(pair.laptop.path), code))
    assert "key of no destination" in error
    assert "ssh-ed25519" in hint
    assert pair.known() == (0, 0, 1)


def test_a_batch_that_was_let_go_is_said_to_be_lost_at_who_asks_for_it(pair: Pair) -> None:
    for code in ("s1", "s2", "s3"):
        pair.write(code)
    chain = pair.chain()
    assert [batch.number for batch in held.after(pair.source, *chain, 1)] == [2, 3]
    assert held.first(pair.source, *chain) == 1
    (batch,) = held.after(pair.source, *chain, 2)
    pair.carry()
    pair.take(pair.given())
    assert list(held.after(pair.source, *chain, 3)) == []
    assert held.first(pair.source, *chain) is None
    for ask in (lambda: list(held.after(pair.source, *chain, 0)), lambda: list(batch.parts())):
        with pytest.raises(CdcSyncError, match="lost"):
            ask()


def test_batches_of_others_are_held_as_long_as_their_parts_are_kept(pair: Pair) -> None:
    pair.write("s1")
    pair.write("s2", "s3")
    pair.carry(applied=False)
    chain = pair.chain()
    for ours, theirs in zip(held.after(pair.source, *chain, 0), held.after(pair.target, *chain, 0), strict=True):
        assert (ours.sealed, ours.header) == (theirs.sealed, theirs.header)
        assert list(ours.parts()) == list(theirs.parts())
    assert (ours.own, theirs.own) == (True, False)
    assert held.following(pair.target, "laptop", "another epoch", 0) is None
    pair.carry()
    assert held.first(pair.target, *chain) is None
