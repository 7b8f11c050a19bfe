"""Files that appear together: in which order they are synced and renamed, and what is left when it fails."""

import os
from pathlib import Path

import pytest

from dataio.audit.reindex import publish
from dataio.format import atomic

RUN = os.getpid()


def test_all_are_safe_before_the_first_is_named_and_the_last_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename, sync_folder = os.fsync, os.replace, atomic.sync_folder

    def syncing(fd: int) -> None:
        done.append("sync " + Path(f"/proc/self/fd/{fd}").readlink().name)
        sync(fd)

    def renaming(source: Path, target: Path) -> None:
        done.append(f"name {target.name}")
        rename(source, target)

    def syncing_folder(folder: Path) -> None:
        sync_folder(folder)
        done[-1] = "folder"  # in place of its own sync

    fresh = [one for name in ("a.npz", "a.idx") for one in publish.write(tmp_path, name, name.encode(), RUN)]
    last = publish.write(tmp_path, "manifest.npz", b"all", RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(one.temporary for one in [*fresh, *last])
    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", renaming)
    monkeypatch.setattr(atomic, "sync_folder", syncing_folder)
    publish.publish(tmp_path, fresh, last)
    synced = [f"sync .{name}.{RUN}.tmp" for name in ("a.npz", "a.idx", "manifest.npz")]
    assert done == [*synced, "name a.npz", "name a.idx", "folder", "name manifest.npz", "folder"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.npz": b"a.npz",
        "a.idx": b"a.idx",
        "manifest.npz": b"all",
    }


def test_what_is_there_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"same")
    assert publish.write(tmp_path, "a.npz", b"same", RUN) == ()
    assert [one.name for one in publish.write(tmp_path, "a.npz", b"some", RUN)] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == b"same"


def test_the_last_has_no_name_when_another_gets_none(tmp_path: Path) -> None:
    (tmp_path / "b.npz").mkdir()
    fresh = [one for name in ("a.npz", "b.npz") for one in publish.write(tmp_path, name, b"x", RUN)]
    with pytest.raises(OSError, match=r"b\.npz"):
        publish.publish(tmp_path, fresh, publish.write(tmp_path, "manifest.npz", b"x", RUN))
    assert not (tmp_path / "manifest.npz").exists()
    publish.clear(tmp_path, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own: a device that is always full."""
    monkeypatch.setattr(publish.Fresh, "temporary", "full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/a\.npz'"):
        publish.write(Path("/dev"), "a.npz", b"x", RUN)


def test_only_what_nobody_works_on_is_cleared(tmp_path: Path) -> None:
    dead = 2**22 + 1  # more than any process number of Linux
    gone = [f".a.npz.{RUN}.tmp", f".a b\n.idx.{dead}.tmp", f".manifest.npz.{dead}.tmp", f".a.npz.{10**30}.tmp"]
    kept = [f".a.npz.{os.getppid()}.tmp", f".a.tar.{dead}.tmp", f".a.json.{dead}.tmp", f"a.npz.{dead}.tmp", ".a.npz.tmp", "a.npz"]
    for name in gone + kept:
        (tmp_path / name).write_bytes(b"x")
    publish.clear(tmp_path, RUN)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
