"""Files on sticks and shares: whole or not there, and what a file system refuses is said with what to do."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_sync.errors import CdcSyncError, Unreachable
from cdc_sync.transports import folder
from cdc_sync.transports.folder import Named, Shelf

Write = Callable[[bytes], object]


def whole(write: Write) -> None:
    write(b"all ")
    write(b"of it")


def test_a_file_gets_its_name_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "server" / "x.cdcsync"

    def fill(write: Write) -> None:
        whole(write)
        assert not path.exists()

    folder.put(path, 10, fill)
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "no room left"),
        (errno.EDQUOT, "no room left"),
        (errno.EFBIG, "no file as large"),
        (errno.EIO, "pulled out"),
        (errno.ENODEV, "pulled out"),
        (errno.EROFS, "rights"),
    ],
)
def test_what_fails_while_it_is_written_leaves_nothing_and_what_was_there_before(
    tmp_path: Path, number: int, word: str
) -> None:
    path = tmp_path / "server" / "x.cdcsync"
    folder.put(path, 10, whole)

    def fails(write: Write) -> None:
        write(b"half of ")
        raise OSError(number, os.strerror(number))

    with pytest.raises(CdcSyncError) as caught:
        folder.put(path, 10, fails)
    assert word in f"{caught.value} {caught.value.hint}"
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


def test_a_device_that_is_full_says_so(tmp_path: Path) -> None:
    """``/dev/full`` is a real one."""
    with pytest.raises(CdcSyncError, match="no room left"), folder.told(tmp_path), Path("/dev/full").open("wb") as file:
        file.write(b"x")


def test_a_stick_that_loses_what_it_was_given_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server" / "x.cdcsync"
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.pwrite(descriptor, b"lost", 0))
    with pytest.raises(CdcSyncError, match="what was written is not what is read"):
        folder.put(path, 10, whole)
    assert list(path.parent.iterdir()) == []


def test_what_has_no_room_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(CdcSyncError, match="no room left"):
        folder.put(tmp_path / "x.cdcsync", 2**62, whole)


def test_a_file_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    def fill(write: Write) -> None:
        folder.put(tmp_path / "y.cdcsync", 10, whole)
        whole(write)

    folder.put(tmp_path / "x.cdcsync", 10, fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.cdcsync", "y.cdcsync"]


def test_the_folder_of_all_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no folder") as caught:
        Shelf(tmp_path / "stick").check()
    assert "put the stick in" in caught.value.hint


def test_names_are_read_back_whatever_a_node_is_called(tmp_path: Path) -> None:
    named = Named(giver="a.1-2.b", first=3, last=10, digest="0123abcd")
    for place in (tmp_path / "server", tmp_path / "server" / "imported"):
        place.mkdir()
        (place / str(named)).touch()
    for other in ("x.cdcsync", "a.receipts.0123abcd.cdcsync", ".a.1-2.0123abcd.cdcsync", "a.1-2.0123abcd.txt"):
        (tmp_path / "server" / other).touch()
    shelf = Shelf(tmp_path)
    assert shelf.named("server") == [named, named]
    assert shelf.named("nobody") == []
    assert [path.name for path in shelf.coming("server")] == ["a.receipts.0123abcd.cdcsync", "x.cdcsync", str(named)]
