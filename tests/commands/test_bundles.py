"""import: what a file holds is stored once, in order, or refused with the reason; and nothing of it before."""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cdc_sync import identity
from cdc_sync.config import Config
from cdc_sync.core import bundle, chain, device, receipts, wire
from cdc_sync.core.wire import Sealed
from tests import packets
from tests.batches import Maker
from tests.commands.conftest import SUBJECT, everything, run, state
from tests.conftest import Make
from tests.core.test_wire import flipped
from tests.nodes import Side, write_config
from tests.packets import Batch


@dataclass
class Clinic:
    """A server that knows a laptop by its key, and a stick on which bundles lie for it."""

    config: Config
    side: Side
    laptop: Maker
    stick: Path

    @property
    def key(self) -> Ed25519PrivateKey:
        return identity.load(self.config.key_path)

    @property
    def public(self) -> bytes:
        return device.public_of(self.key)

    def lay(self, data: bytes, name: str = "x") -> Path:
        """A file for the server."""
        path = self.stick / "server" / f"{name}.cdcsync"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def bundle(self, *batches: Batch, **changes: Any) -> bytes:
        """A bundle of the laptop's as it lies on a stick."""
        return packets.closed(packets.made(self.laptop, self.public, batches, **changes), self.public)

    def take(self, code: int = 0) -> Any:
        result = run("import --json", self.config, str(self.stick))
        assert result.exit_code == code, everything(result)
        return json.loads(result.stdout)

    def codes(self) -> list[str]:
        return [code for (code,) in self.side.rows("select code from subject order by code")]

    def refuse(self, data: bytes, *words: str, name: str = "x") -> str:
        """Asserts that a file is refused, says why and what to do, stays, and changes nothing; returns the hint."""
        path = self.lay(data, name)
        with unchanged(self):
            report = self.take(code=1)
        found = next(each for each in report["files"] if each["path"] == str(path))
        assert found["state"] == "refused"
        for word in words:
            assert word in found["problem"], found["problem"]
        assert found["hint"]
        assert path.read_bytes() == data
        path.unlink()
        return str(found["hint"])


@contextmanager
def unchanged(clinic: Clinic) -> Iterator[None]:
    before = state(clinic.side)
    yield
    assert state(clinic.side) == before
    assert not (clinic.stick / "laptop").exists(), "no receipt for what was refused"


@pytest.fixture
def clinic(make_side: Make, tmp_path: Path) -> Clinic:
    side = make_side("sqlite", "server")
    side.script(SUBJECT)
    config = write_config(tmp_path, "server", side, {}, {})
    laptop = Maker("laptop")
    assert run("enroll laptop", config, "--key", device.text(laptop.public)).exit_code == 0
    run("enroll --show", config)
    stick = tmp_path / "stick"
    stick.mkdir()
    return Clinic(config, side, laptop, stick)


def test_a_bundle_is_stored_applied_answered_and_moved_away(clinic: Clinic) -> None:
    path = clinic.lay(clinic.bundle(clinic.laptop.seal(["s1"]), clinic.laptop.seal(["s2"])))
    report = clinic.take()
    (found,) = report["files"]
    assert (found["state"], found["giver"]) == ("stored", "laptop")
    assert found["chains"] == [
        {"origin": "laptop", "first": 1, "last": 2, "batches": 2, "rows": 2, "missing": 0},
    ]
    assert report["applied"] == 2
    assert clinic.codes() == ["s1", "s2"]
    assert not path.exists()
    assert (path.parent / "imported" / path.name).exists()
    (receipt,) = report["written"]
    assert (receipt["receiver"], receipt["receipts"], receipt["batches"]) == ("laptop", 1, [])
    assert Path(receipt["path"]).parent == clinic.stick / "laptop"
    assert packets.opened(Path(receipt["path"]).read_bytes(), clinic.laptop.key)


def test_what_people_read_says_what_came_from_whom(clinic: Clinic) -> None:
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s1"])))
    result = run("import", clinic.config, str(clinic.stick))
    assert result.exit_code == 0
    assert "stored, from laptop" in result.stdout
    assert "batch 1 of laptop: 1 change new" in result.stdout
    assert "applied 1 batch" in result.stdout
    assert "receipts for laptop" in result.stdout
    assert run("import", clinic.config, str(clinic.stick)).stdout == f"nothing for server lies in {clinic.stick}\n"
    result = run("import", clinic.config, str(clinic.stick / "nowhere"))
    assert result.exit_code == 2
    assert "put the stick in" in result.stderr


def test_a_replayed_bundle_does_no_harm(clinic: Clinic) -> None:
    first, second = clinic.bundle(clinic.laptop.seal(["s1"])), clinic.bundle(clinic.laptop.seal(["s2"]))
    for data in (first, second):
        clinic.lay(data)
        clinic.take()
    before = state(clinic.side)
    for data in (first, second, first):
        path = clinic.lay(data, "again")
        (found,) = clinic.take()["files"]
        assert found["state"] == "stored"
        assert found["chains"][0]["batches"] == 0
        assert not path.exists()
    assert state(clinic.side) == before


def test_bundles_are_taken_in_any_order_and_one_with_a_gap_before_it_waits(clinic: Clinic) -> None:
    one, two, three = (clinic.bundle(clinic.laptop.seal([f"s{i}"])) for i in (1, 2, 3))
    last = clinic.lay(three, "a")
    (found,) = clinic.take(code=3)["files"]
    assert found["state"] == "deferred"
    assert found["problem"] == "batches 1 to 2 of node 'laptop' must come first"
    assert "export" in found["hint"]
    assert last.exists()
    assert clinic.codes() == []
    clinic.lay(two, "b")
    clinic.lay(one, "c")
    assert {each["state"] for each in clinic.take()["files"]} == {"stored"}
    assert clinic.codes() == ["s1", "s2", "s3"]
    assert not last.exists()


def test_bundles_that_overlap_are_taken(clinic: Clinic) -> None:
    batches = [clinic.laptop.seal([f"s{i}"]) for i in (1, 2, 3)]
    clinic.lay(clinic.bundle(*batches[:2]), "a")
    clinic.lay(clinic.bundle(*batches[1:]), "b")
    clinic.lay(clinic.bundle(*batches), "c")
    assert sum(chain["batches"] for each in clinic.take()["files"] for chain in each["chains"]) == 3
    assert clinic.codes() == ["s1", "s2", "s3"]


def test_a_single_file_is_taken_from_anywhere_and_left_there(clinic: Clinic, tmp_path: Path) -> None:
    path = tmp_path / "mail" / "attachment.bin"
    path.parent.mkdir()
    path.write_bytes(clinic.bundle(clinic.laptop.seal(["s1"])))
    assert run("import", clinic.config, str(path)).exit_code == 0
    assert clinic.codes() == ["s1"]
    assert path.exists()
    assert list((tmp_path / "mail" / "laptop").glob("server.receipts.*.cdcsync"))


# --- what is refused


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(clinic: Clinic, part: float) -> None:
    data = clinic.bundle(clinic.laptop.seal(["s1"]))
    hint = clinic.refuse(data[: int(len(data) * part)], "damaged")
    assert "made and copied again" in hint


def test_a_bundle_with_a_flipped_bit_is_refused(clinic: Clinic) -> None:
    data = clinic.bundle(clinic.laptop.seal(["s1"]), clinic.laptop.seal(["s2"]))
    for i in range(7):
        clinic.refuse(flipped(data, i * len(data) * 8 // 7 + 3), "")


def test_what_is_no_bundle_is_refused(clinic: Clinic) -> None:
    clinic.refuse(b"", "no bundle")
    clinic.refuse(b"\0" * 10_000, "no bundle")
    clinic.refuse(packets.made(clinic.laptop, clinic.public, [clinic.laptop.seal()]), "no bundle")
    clinic.refuse(packets.closed(b"a letter to the server", clinic.public), "no bundle")


def test_a_reordered_bundle_is_refused(clinic: Clinic) -> None:
    one, two = clinic.laptop.seal(["s1"]), clinic.laptop.seal(["s2"])
    of = packets.manifest("laptop", clinic.public, [one, two])
    data = packets.closed(packets.plain(of, clinic.laptop.key, [two, one]), clinic.public)
    clinic.refuse(data, "another batch where batch 1 of node 'laptop' should be")


def test_a_bundle_of_a_stranger_is_refused(clinic: Clinic) -> None:
    stranger = Maker("stranger")
    data = packets.closed(packets.made(stranger, clinic.public, [stranger.seal()]), clinic.public)
    assert "cdc-sync enroll stranger" in clinic.refuse(data, "'stranger' is not enrolled")


def test_a_bundle_that_was_signed_again_by_another_key_is_refused(clinic: Clinic) -> None:
    thief = Ed25519PrivateKey.generate()
    batch = clinic.laptop.seal()
    of = packets.manifest("laptop", clinic.public, [batch])
    data = packets.closed(packets.plain(of, thief, [batch]), clinic.public)
    clinic.refuse(data, "claims to come from 'laptop'", device.fingerprint(device.public_of(thief)))


def test_batches_that_were_signed_again_are_refused_whoever_brings_them(clinic: Clinic) -> None:
    relay, thief = Maker("relay"), Maker("laptop")
    assert run("enroll relay --relay", clinic.config, "--key", device.text(relay.public)).exit_code == 0
    clinic.refuse(packets.closed(packets.made(relay, clinic.public, [thief.seal()]), clinic.public), "another key")
    data = packets.closed(packets.made(clinic.laptop, clinic.public, [thief.seal()]), clinic.public)
    clinic.refuse(data, "another key")


def test_a_node_that_is_no_relay_brings_nothing_of_others(clinic: Clinic) -> None:
    other = Maker("other")
    assert run("enroll other", clinic.config, "--key", device.text(other.public)).exit_code == 0
    data = packets.closed(packets.made(other, clinic.public, [clinic.laptop.seal()]), clinic.public)
    assert "--relay" in clinic.refuse(data, "may not bring batches of other nodes")


def test_a_relay_brings_others_batches_and_receipts_go_to_both(clinic: Clinic) -> None:
    relay = Maker("relay")
    assert run("enroll relay --relay", clinic.config, "--key", device.text(relay.public)).exit_code == 0
    clinic.lay(packets.closed(packets.made(relay, clinic.public, [clinic.laptop.seal(["s1"])]), clinic.public))
    report = clinic.take()
    assert clinic.codes() == ["s1"]
    assert [each["receiver"] for each in report["written"]] == ["laptop", "relay"]


def test_a_relay_that_only_passes_on_does_without_what_is_applied_everywhere(clinic: Clinic) -> None:
    path = clinic.config.path
    path.write_text(path.read_text().replace("[node]", "[node]\nrelay = true"))
    clinic.laptop.seal()
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s2"])))
    assert clinic.take(code=3)["files"][0]["problem"] == "batch 1 of node 'laptop' must come first"
    (stretch,) = packets.stretches([batch := clinic.laptop.seal(["s3"])])
    clinic.lay(clinic.bundle(batch, stretches=(replace(stretch, skips=True),)))
    (found,) = clinic.take()["files"]
    assert (found["state"], found["chains"][0]["batches"]) == ("stored", 1)


def test_a_node_that_applies_does_without_nothing(clinic: Clinic) -> None:
    clinic.laptop.seal()
    (stretch,) = packets.stretches([batch := clinic.laptop.seal(["s2"])])
    clinic.lay(clinic.bundle(batch, stretches=(replace(stretch, skips=True),)))
    assert clinic.take(code=3)["files"][0]["state"] == "deferred"


def test_a_revoked_node_brings_nothing(clinic: Clinic) -> None:
    data = clinic.bundle(clinic.laptop.seal())
    assert run("revoke laptop", clinic.config).exit_code == 0
    clinic.refuse(data, "revoked")


def test_a_bundle_that_writes_what_its_origin_may_not_write_is_refused_before_anything_is_stored(
    clinic: Clinic,
) -> None:
    public = device.text(clinic.laptop.public)
    assert run("enroll laptop --table subject:insert", clinic.config, "--key", public).exit_code == 0
    allowed, forbidden = clinic.laptop.seal(["s1"]), clinic.laptop.seal(["s2"], op="U", counts={"U": 1})
    assert "subject:update" in clinic.refuse(clinic.bundle(allowed, forbidden), "may not update", "'subject'")


def test_a_fork_is_refused(clinic: Clinic) -> None:
    copy = replace(clinic.laptop)
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s1"]), clinic.laptop.seal(["s2"])))
    clinic.take()
    shutil.rmtree(clinic.stick / "laptop")
    for batches in ([copy.seal(["c1"])], [copy.seal(["c2"]), copy.seal(["c3"])]):
        clinic.refuse(clinic.bundle(*batches), "restored from a copy")


def test_another_version_is_named(clinic: Clinic) -> None:
    plain = packets.made(clinic.laptop, clinic.public, [clinic.laptop.seal()])
    newer = packets.closed(plain.replace(b"bundle 1\n", b"bundle 9\n"), clinic.public)
    assert "upgrade" in clinic.refuse(newer, "format 9", "reads format 1")


def test_a_bundle_for_another_server_is_refused_and_says_for_whom_it_is(clinic: Clinic) -> None:
    central, batch = Maker("central"), clinic.laptop.seal()
    theirs = packets.closed(packets.made(clinic.laptop, central.public, [batch]), central.public)
    own = device.fingerprint(clinic.public)
    clinic.refuse(theirs, "is for another key", device.fingerprint(central.public)[:12], own)
    assert run("enroll central", clinic.config, "--key", device.text(central.public)).exit_code == 0
    clinic.refuse(theirs, "is for node 'central'", own)
    again = packets.made(clinic.laptop, central.public, [batch], receiver="central")
    assert "there" in clinic.refuse(packets.closed(again, clinic.public), "made for node 'central'")
    named = packets.made(clinic.laptop, clinic.public, [batch], receiver="central")
    clinic.refuse(packets.closed(named, clinic.public), "made for node 'central'")


def test_a_bundle_for_the_key_that_the_server_had_before_is_refused_and_says_how_to_compare(clinic: Clinic) -> None:
    data = clinic.bundle(clinic.laptop.seal())
    before = device.fingerprint(clinic.public)
    clinic.config.key_path.unlink()
    identity.create(clinic.config.key_path)
    assert "enroll --show" in clinic.refuse(data, before[:12], device.fingerprint(clinic.public))


def test_a_bundle_with_more_in_it_than_its_manifest_says_fills_no_disk(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = clinic.laptop.seal()
    plain = packets.made(clinic.laptop, clinic.public, [batch])
    data = packets.closed(plain + b"\0" * 50_000_000, clinic.public)
    written = counted(monkeypatch)
    clinic.refuse(data, "more in it than its manifest says")
    assert written() < 1_000_000


def test_a_bundle_of_a_stranger_fills_no_disk(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Maker("stranger")
    of = replace(packets.manifest("stranger", clinic.public, []), size=10**12)
    data = packets.closed(packets.plain(of, stranger.key, []) + b"\0" * 50_000_000, clinic.public)
    written = counted(monkeypatch)
    clinic.refuse(data, "not enrolled")
    assert written() < 1_000_000


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many bytes were decrypted into the temporary file."""
    from cdc_sync.bundles import taking

    count = 0
    write = taking._Guard.write  # noqa: SLF001

    def counting(guard: Any, data: bytes) -> None:
        nonlocal count
        count += len(data)
        write(guard, data)

    monkeypatch.setattr(taking._Guard, "write", counting)  # noqa: SLF001
    return lambda: count


def bombed(clinic: Clinic, part: bytes) -> bytes:
    """A batch of the laptop's whose part unpacks to more than anybody keeps in memory."""
    sealed, _ = clinic.laptop.seal()
    header = wire.decode_header(sealed.header)
    real, data = wire.pack_part("subject", 1, "rows", part)
    bomb: Sealed = chain.seal(replace(header, parts=(real,)), clinic.laptop.key)
    return clinic.bundle((bomb, [data]))


def test_a_part_that_unpacks_to_too_much_is_refused(clinic: Clinic) -> None:
    data = bombed(clinic, b"\0" * 300_000_000)
    assert len(data) < 100_000
    clinic.refuse(data, "unpacks to more than")


def test_a_part_of_columns_without_rows_is_not_applied(clinic: Clinic) -> None:
    clinic.lay(bombed(clinic, b"\xdc\x10\x00" + b"\x90" * 0x1000))
    report = clinic.take(code=1)
    assert report["problems"] == ["a part of the batch has columns and no rows"]
    (receipt,) = report["written"]
    plain = packets.opened(Path(receipt["path"]).read_bytes(), clinic.laptop.key)
    (signed,) = bundle.read(io.BytesIO(plain).read).manifest.receipts
    said = receipts.read(signed)
    assert (said.stored, said.applied) == (1, 0)


def test_a_batch_larger_than_is_taken_is_refused(clinic: Clinic) -> None:
    sealed, parts = clinic.laptop.seal()
    header = wire.decode_header(sealed.header)
    large = chain.seal(replace(header, parts=(replace(header.parts[0], size=65 * 1024 * 1024),)), clinic.laptop.key)
    clinic.refuse(clinic.bundle((large, parts)), "larger than")


def test_how_large_batches_are_taken_is_the_dbas_to_say(clinic: Clinic) -> None:
    path, data = clinic.config.path, clinic.bundle(clinic.laptop.seal(["s1"]))
    before = path.read_text()
    path.write_text(before + "\n[serve]\nlargest_batch = 10\n")
    assert "largest_batch" in clinic.refuse(data, "larger than the 10 bytes")
    path.write_text(before)
    clinic.lay(data)
    assert clinic.take()["applied"] == 1


@pytest.mark.parametrize("year", ["1970-01-01T00:00:00+00:00", "2038-01-19T03:14:08+00:00", "", "yesterday"])
def test_no_clock_decides_anything(clinic: Clinic, year: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc_sync.clock.now", lambda **_: year)
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s1"]), made_at=year))
    assert clinic.take()["applied"] == 1
    monkeypatch.undo()
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s2"])))
    assert clinic.take()["applied"] == 1
    assert clinic.codes() == ["s1", "s2"]


def test_a_refused_file_keeps_the_others_back_from_nothing(clinic: Clinic) -> None:
    clinic.lay(b"rubbish", "a")
    clinic.lay(clinic.bundle(clinic.laptop.seal(["s1"])), "b")
    states = [each["state"] for each in clinic.take(code=1)["files"]]
    assert states == ["refused", "stored"]
    assert clinic.codes() == ["s1"]
