"""One build at a time: the second is refused, whoever dies lets go, and nobody removes what another holds."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dataio.format.folder import Folder, LocalFolder
from dataio.format.remote import RemoteFolder
from dataio.ingest import lock as module
from dataio.ingest.lock import FILE, LocalLock, Lock, LockedError, RemoteLock, lock

BEAT = 0.2  # seconds: a held lock is noticed within a beat, a dead one is taken over after 2.5

HOLD = """
import sys, time
from pathlib import Path
from dataio.format.folder import LocalFolder
from dataio.format.remote import RemoteFolder
from dataio.ingest import lock
lock.BEAT = {beat}
held = lock.lock({place})
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(params=["flock", "beats"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder on this machine, and the same by way of fsspec, where nothing tells who is alive but a file that changes."""
    monkeypatch.setattr(module, "BEAT", BEAT)
    return LocalFolder(tmp_path) if request.param == "flock" else RemoteFolder(f"local://{tmp_path}")


@pytest.fixture
def holder(place: Folder) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that takes the lock and keeps it."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        text = f"LocalFolder(Path({str(place)!r}))" if isinstance(place, LocalFolder) else f"RemoteFolder({place.url!r})"
        code = HOLD.format(beat=BEAT, place=text)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_it_is_given_once_and_again_after_its_release(place: Folder) -> None:
    first = lock(place)
    assert isinstance(first, LocalLock if isinstance(place, LocalFolder) else RemoteLock)
    with pytest.raises(LockedError, match=f"{FILE} is held by"):
        lock(place)
    first.check()
    first.release()
    second = lock(place)
    with pytest.raises(LockedError):
        lock(place)
    second.remove()
    assert place.names() == []


def test_another_process_holds_it_until_it_is_killed(place: Folder, holder) -> None:
    process = holder()
    for _ in range(2):
        with pytest.raises(LockedError):
            lock(place)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begin = time.monotonic()
    mine = lock(place)
    silence = time.monotonic() - begin
    assert silence < 1 if isinstance(place, LocalFolder) else silence >= 2.5 * BEAT
    mine.remove()
    assert place.names() == []


def test_a_name_that_an_earlier_holder_removes_meanwhile(tmp_path: Path) -> None:
    """Opened before the last holder removed the file, locked after: that file is nobody's lock any more."""
    place = LocalFolder(tmp_path / "work")
    place.create()
    errors: list[BaseException] = []
    holding = threading.Lock()

    def take_and_remove() -> None:
        for _ in range(200):
            try:
                mine = LocalLock(place)
            except LockedError:
                continue
            if not holding.acquire(blocking=False):
                errors.append(AssertionError("two hold it"))
                return
            holding.release()
            mine.remove()

    threads = [threading.Thread(target=take_and_remove) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_of_many_at_the_same_moment_one_gets_it(tmp_path: Path) -> None:
    place = RemoteFolder(f"local://{tmp_path}")
    barrier, got, refused = threading.Barrier(5), list[Lock](), list[str]()

    def take() -> None:
        barrier.wait()
        try:
            got.append(RemoteLock(place, beat=1.0))
        except LockedError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert len(refused) == 4
    got[0].remove()
    assert place.names() == []


def test_a_holder_that_was_suspended_finds_out_and_leaves_it_to_the_other(tmp_path: Path) -> None:
    place = RemoteFolder(f"local://{tmp_path}")
    mine = RemoteLock(place, beat=0.05)
    other = json.dumps(["another machine, process 7, x", 3]).encode()
    for _ in range(100):  # one beat of ours may be on its way
        place.write(FILE, other)
        time.sleep(0.06)
        with suppress(LockedError):
            mine.check()
            continue
        break
    with pytest.raises(LockedError, match="has been taken over by another machine, process 7"):
        mine.check()
    mine.remove()
    assert place.read(FILE) == other


def test_it_lives_through_a_moment_without_storage(tmp_path: Path) -> None:
    work = tmp_path / "work"
    place = RemoteFolder(f"local://{work}")
    place.create()
    mine = RemoteLock(place, beat=0.05)
    work.rename(tmp_path / "gone")  # a read fails there, and so does a write
    time.sleep(0.2)
    (tmp_path / "gone").rename(work)
    before = place.read(FILE)
    deadline = time.monotonic() + 300
    while place.read(FILE) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert place.read(FILE) != before  # it beats again
    mine.check()
    mine.remove()


@pytest.mark.parametrize("mark", [b"", b"\x00\xff", b"[]", b"{}", b"3"])
def test_a_mark_that_nobody_can_read_is_a_mark_of_the_dead(tmp_path: Path, mark: bytes) -> None:
    place = RemoteFolder(f"local://{tmp_path}")
    place.write(FILE, mark)
    RemoteLock(place, beat=0.05).remove()
    assert place.names() == []


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"file/lock"):
        lock(LocalFolder(tmp_path / "file"))
    with pytest.raises(OSError, match=r"missing/lock cannot be written"):
        lock(RemoteFolder(f"local://{tmp_path}/missing"))
