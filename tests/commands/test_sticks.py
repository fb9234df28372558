"""Sticks that are written, pulled out, full, lost and brought in any order: what is on them is whole, or not there."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import config as configuration
from cdc_sync import identity, loop, ship
from cdc_sync.config import Config
from cdc_sync.core import device
from tests.commands.conftest import eventually
from tests.conftest import Make
from tests.nodes import compare, status, write_config
from tests.sticks import OWN, SCHEMA, SHAPES, Flow, apart, key_of, meet

KILLED = "import os, signal; os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)"
"""Dies when all is written and nothing is safe yet."""

LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
"""No file grows beyond so many bytes."""


@pytest.fixture
def flow(make_side: Make, tmp_path: Path) -> Flow:
    return meet(make_side, tmp_path, "sqlite", "sqlite")


def arrived(flow: Flow) -> None:
    flow.bring_in()
    compare(flow.source, flow.target, *SHAPES, others=OWN)


def test_bundles_that_come_twice_and_in_the_wrong_order_make_the_same_rows(flow: Flow) -> None:
    kept = list[Path]()
    for i in (1, 2, 3):
        flow.write(i, i)
        kept.append(flow.stick / f"{i}.cdcsync")
        flow.export(kept[-1])
    for path in (kept[2], kept[0], kept[1], kept[2]):
        flow.bring_in(path)
    compare(flow.source, flow.target, *SHAPES, others=OWN)


def test_a_file_that_is_there_is_not_written_over(flow: Flow) -> None:
    flow.write(1, 1)
    path = flow.stick / "mine.bundle"
    flow.export(path)
    before = path.read_bytes()
    assert "already" in flow.say(flow.giver, "export", "--to", str(path), code=2)
    assert path.read_bytes() == before


def test_a_lost_stick_is_written_again(flow: Flow) -> None:
    flow.write(1, 1)
    flow.export()
    (lost,) = (flow.stick / "receiver").iterdir()
    lost.unlink()
    flow.export()
    arrived(flow)


def test_what_is_exported_is_said_to_people(flow: Flow) -> None:
    flow.write(1, 1)
    said = flow.say(flow.giver, "export", "--to", str(flow.stick))
    assert "for receiver" in said
    assert "batch 1 of giver" in said
    assert "2 changes in all" in said
    arrived(flow)
    flow.bring_home()
    assert flow.say(flow.giver, "export", "--to", str(flow.stick)) == "nothing waits for receiver\n"


def test_an_export_beside_a_replicator_says_that_it_seals(flow: Flow) -> None:
    flow.write(1, 1)
    with identity.exclusive(flow.giver.key_path):
        said = flow.say(flow.giver, "export", "--to", str(flow.stick))
    assert said == (
        "nothing waits for receiver\n"
        "note: another cdc-sync is at work here; what it has not sealed yet is not in the file\n"
    )


def test_an_export_for_nobody_whose_key_is_known_says_where_to_write_the_key(flow: Flow) -> None:
    said = flow.say(flow.giver, "export", "--for", "central", "--to", str(flow.stick), code=2)
    assert "key of 'central' is not known" in said
    assert "[[destinations]]" in said
    text = flow.giver.path.read_text().partition("[[destinations]]")[0]
    flow.giver.path.write_text(text + '[[destinations]]\nname = "elsewhere"\n')
    assert "no destination's key" in flow.say(flow.giver, "export", "--to", str(flow.stick), code=2)


def test_a_destination_whose_key_is_another_than_before_gets_nothing(flow: Flow) -> None:
    flow.write(1, 1)
    flow.export()
    key = flow.giver.path.read_text().partition('key = "')[2].partition('"')[0]
    other = device.text(device.public_of(Ed25519PrivateKey.generate()))
    flow.giver.path.write_text(flow.giver.path.read_text().replace(key, other))
    said = flow.say(flow.giver, "export", "--to", str(flow.stick), code=1)
    assert "the key of 'receiver' is another than before" in said
    assert "enroll --show" in said


def test_receipts_are_written_again_for_who_asks(flow: Flow) -> None:
    flow.write(1, 1)
    flow.export()
    arrived(flow)
    for path in (flow.stick / "giver").iterdir():
        path.unlink()
    flow.say(flow.receiver, "export", "--for", "giver", "--to", str(flow.stick))
    assert flow.waiting() == 2
    flow.bring_home()
    assert flow.waiting() == 0


def test_newer_receipts_stand_for_older_ones(flow: Flow) -> None:
    for i in (1, 2):
        flow.write(i, i)
        flow.export()
        arrived(flow)
        assert len(flow.files("giver")) == 1
    flow.bring_home()
    assert flow.waiting() == 0


def test_a_stick_that_is_pulled_out_while_it_is_written_holds_nothing_and_nothing_is_lost(flow: Flow) -> None:
    flow.write(1, 2)
    died = replace(flow, run=partial(apart, before=KILLED))
    died.say(flow.giver, "export", "--to", str(flow.stick), code=-9)
    assert flow.files("receiver") == []
    (left,) = (flow.stick / "receiver").iterdir()
    assert left.name.startswith("."), "what is not whole has no real name"
    assert flow.bring_in()["files"] == []
    flow.export()
    assert not left.exists(), "what a killed process left behind is removed"
    arrived(flow)


def large(flow: Flow) -> None:
    """Rows that do not pack well."""
    for i in range(400):
        flow.source.run("insert into subject (code, note) values (?, hex(randomblob(500)))", (f"large{i}",))


def test_a_full_stick_holds_nothing_new_and_nothing_is_lost(flow: Flow) -> None:
    large(flow)
    flow.export()
    (before,) = flow.files("receiver")
    flow.write(1, 1)
    flow.export(flow.stick.parent / "elsewhere.bundle")
    full = replace(flow, run=partial(apart, before=LIMITED.format(100_000)))
    assert "nothing was lost" in full.say(flow.giver, "export", "--to", str(flow.stick), code=1)
    assert [path.name for path in (flow.stick / "receiver").iterdir()] == [before], "the older file is as it was"
    flow.export()
    arrived(flow)


@pytest.mark.parametrize(("limit", "word"), [(100_000, "TMPDIR"), (350_000, "disk")], ids=["temporary", "database"])
def test_where_the_server_has_no_room_left_the_file_stays_and_is_taken_later(flow: Flow, limit: int, word: str) -> None:
    large(flow)
    flow.export()
    before = flow.files("receiver")
    full = replace(flow, run=partial(apart, before=LIMITED.format(limit)))
    assert word in full.say(flow.receiver, "import", str(flow.stick), code=1)
    assert flow.files("receiver") == before
    assert not (flow.stick / "giver").exists(), "no receipt"
    arrived(flow)


# --- replicate


@pytest.fixture
def posted(flow: Flow) -> Callable[..., str]:
    """``posted(code=0)``: replicate --once, where the destination is the stick's folder."""
    name = 'name = "receiver"\n'
    flow.giver.path.write_text(flow.giver.path.read_text().replace(name, f'{name}url = "file://{flow.stick}"\n'))
    return partial(flow.say, flow.giver, "replicate", "--once")


def test_replicate_lays_bundles_into_a_folder_and_takes_receipts_from_it(
    flow: Flow, posted: Callable[..., str]
) -> None:
    flow.write(1, 1)
    posted()
    posted()
    (first,) = flow.files("receiver")
    assert first.startswith("giver.1-1."), "what lies there already is not written again"
    flow.write(2, 2)
    posted()
    assert [name.split(".")[1] for name in flow.files("receiver")] == ["1-1", "2-2"]
    arrived(flow)
    assert flow.waiting() == 4
    assert "applied up to batch 2" in posted()
    assert flow.waiting() == 0
    assert flow.files("giver") == []
    posted()
    assert flow.files("receiver") == []


def test_replicate_says_that_the_stick_is_not_there_and_goes_on_once_it_is(
    flow: Flow, posted: Callable[..., str]
) -> None:
    flow.write(1, 1)
    flow.stick.rmdir()
    assert "put the stick in" in posted(code=2)
    assert not flow.stick.exists(), "where no stick is, nothing is made"
    flow.stick.mkdir()
    posted()
    arrived(flow)


def test_a_stick_that_is_not_there_keeps_no_other_destination_back(
    flow: Flow, posted: Callable[..., str], make_side: Make
) -> None:
    assert posted
    other = make_side("sqlite", "other")
    other.script(SCHEMA)
    with flow.giver.path.open("a") as file:
        file.write(f'\n[[destinations]]\nname = "other"\nurl = "{other.url}"\n')
    flow.stick.rmdir()
    config, stop, told = configuration.load(flow.giver.path), threading.Event(), list[str]()
    daemon = threading.Thread(
        target=loop.run, args=(config, ship.Progress(), stop, lambda error: told.append(str(error)))
    )
    daemon.start()
    try:
        for i in range(1, 6):
            flow.write(i, i)
            eventually(lambda i=i: len(other.rows("select 1 from visit")) == i, "it arrives at once")  # type: ignore[misc]
        flow.stick.mkdir()
        eventually(lambda: bool(flow.files("receiver")), "a stick that is put in is written")
    finally:
        stop.set()
        daemon.join()
    assert len(told) == 1, "said once"
    assert "no folder" in told[0]


def test_replicate_warns_of_a_file_that_it_refuses_and_goes_on(flow: Flow, posted: Callable[..., str]) -> None:
    flow.write(1, 1)
    (flow.stick / "giver").mkdir()
    rubbish = flow.stick / "giver" / "rubbish.cdcsync"
    rubbish.write_bytes(b"rubbish")
    posted()
    assert rubbish.exists()
    arrived(flow)


# --- a relay


def test_sticks_go_on_through_a_relay_and_receipts_come_home_through_it(flow: Flow, make_side: Make) -> None:
    relay = middleman(flow, make_side)
    flow.write(1, 2)
    flow.say(flow.giver, "export", "--for", "relay", "--to", str(flow.stick))
    flow.say(relay, "import", str(flow.stick))
    flow.say(relay, "export", "--for", "receiver", "--to", str(flow.stick))
    (name,) = flow.files("receiver")
    assert name.startswith("relay.1-1.")
    arrived(flow)
    assert flow.files("giver")
    for path in (flow.stick / "giver").iterdir():
        path.unlink()
    flow.say(relay, "import", str(flow.stick))
    flow.say(relay, "export", "--for", "giver", "--to", str(flow.stick))
    flow.bring_home()
    there = {each.destination: each for each in status(flow.giver).destinations}
    assert (there["receiver"].applied, there["receiver"].waiting_changes) == (1, 0)
    assert flow.say(relay, "export", "--for", "receiver", "--to", str(flow.stick)) == "nothing waits for receiver\n"


def middleman(flow: Flow, make_side: Make) -> Config:
    """A relay that knows both, and is known to both."""
    folder = flow.stick.parent
    relay = write_config(folder, "relay", make_side("sqlite", "relay"), {}, {})
    key = key_of(flow.receiver)
    text = relay.path.read_text().replace("[node]", "[node]\nrelay = true")
    relay.path.write_text(f'{text}\n[[destinations]]\nname = "receiver"\nkey = "{key}"\n')
    with flow.giver.path.open("a") as file:
        file.write(f'\n[[destinations]]\nname = "relay"\nfinal = false\nkey = "{key_of(relay)}"\n')
    flow.giver = configuration.load(flow.giver.path)
    flow.say(flow.receiver, "enroll", "relay", "--relay", "--key", key_of(relay))
    flow.say(relay, "enroll", "giver", "--key", key_of(flow.giver))
    return relay
