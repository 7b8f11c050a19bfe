"""The folder that processes share: bounded at any moment, least recently used first, and nothing of others is touched."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dataio.stream.store.ledger import LEDGER, BusyError, FolderLock
from dataio.stream.store.shelf import FOLDER, Shelf, Slot


def key(number: int) -> str:
    return f"{number:040x}"


def content(number: int, length: int) -> bytes:
    return bytes([number % 251]) * length


def put(shelf: Shelf, number: int, length: int, keep: tuple[str, ...] = ()) -> bool:
    slot = shelf.begin(key(number), length, keep)
    if slot is None:
        return False
    slot.write(memoryview(content(number, length)), 0)
    shelf.publish(slot)
    return True


def get(shelf: Shelf, number: int, length: int, offset: int = 0, count: int | None = None) -> bytes | None:
    view = memoryview(bytearray(length - offset if count is None else count))
    return bytes(view) if shelf.read(key(number), length, offset, view) else None


def held(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (folder / FOLDER).iterdir()}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Room for three entries of a hundred bytes."""
    return Shelf(tmp_path, 300 + LEDGER)


def test_an_entry_is_read_as_soon_as_it_is_seen(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def replace(old: Path, new: Path, replace=os.replace) -> None:
        replace(old, new)
        found.append(get(shelf, 1, 100))

    monkeypatch.setattr("dataio.stream.store.shelf.os.replace", replace)
    assert put(shelf, 1, 100)
    assert found == [content(1, 100)]


def test_an_entry_is_read_by_ranges(shelf: Shelf) -> None:
    assert get(shelf, 1, 100) is None
    assert put(shelf, 1, 100)
    assert get(shelf, 1, 100) == content(1, 100)
    assert get(shelf, 1, 100, 90, 10) == content(1, 10)
    assert get(shelf, 1, 100, 95, 10) is None  # behind its end
    assert get(shelf, 1, 99) is None  # another length than it should have
    assert not put(shelf, 1, 100)  # it is there


def test_the_least_recently_used_goes_first(shelf: Shelf, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        assert put(shelf, number, 100)
    assert get(shelf, 1, 100)
    assert shelf.touch(key(2))
    assert put(shelf, 4, 100)
    assert [get(shelf, number, 100) is not None for number in (1, 2, 3, 4)] == [True, True, False, True]
    assert sum(held(tmp_path).values()) <= 300 + LEDGER and shelf.used() == 300


def test_what_is_kept_or_being_read_stays(shelf: Shelf) -> None:
    for number in (1, 2, 3):
        put(shelf, number, 100)
    fd = os.open(shelf.home / f"{key(2)}.tar", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert put(shelf, 4, 100, keep=(key(1),))
    assert [get(shelf, number, 100) is not None for number in (1, 2, 3, 4)] == [True, True, False, True]
    assert not put(shelf, 5, 300)  # two of three would have to go, but one cannot
    assert get(shelf, 2, 100)
    os.close(fd)
    assert put(shelf, 5, 300)


def test_a_part_counts_from_its_beginning_and_is_not_read(shelf: Shelf, tmp_path: Path) -> None:
    slot = shelf.begin(key(1), 250)
    assert slot is not None
    assert held(tmp_path)[f"{key(1)}.part"] == 250
    assert get(shelf, 1, 250) is None
    assert shelf.begin(key(1), 250) is None  # one at a time
    assert shelf.begin(key(2), 100) is None  # no room, and a part is not removed
    shelf.discard(slot)
    assert put(shelf, 2, 300)


@pytest.mark.parametrize("length", [0, 301, 10**15])
def test_what_does_not_fit_is_not_begun(shelf: Shelf, length: int) -> None:
    assert put(shelf, 1, 100)
    assert shelf.begin(key(2), length) is None
    assert get(shelf, 1, 100)


def test_nothing_of_others_is_touched(shelf: Shelf, tmp_path: Path) -> None:
    others = {"notes.txt": 1_000, f"{key(1)}.tar.old": 500, "x.part": 700, f"{key(2)}.npz": 10}
    for name, size in others.items():
        (shelf.home / name).write_bytes(bytes(size))
    (tmp_path / "beside").write_bytes(bytes(2_000))
    (shelf.home / f"{key(9)}.tar").symlink_to(tmp_path / "beside")
    for number in range(10, 30):
        assert put(shelf, number, 100)
    after = held(tmp_path)
    assert {name: after[name] for name in others} == others
    assert (tmp_path / "beside").stat().st_size == 2_000 and (shelf.home / f"{key(9)}.tar").is_symlink()
    assert get(shelf, 9, 2_000) is None


def test_what_is_wrong_is_dropped_when_nobody_reads_it(shelf: Shelf) -> None:
    put(shelf, 1, 100)
    fd = os.open(shelf.home / f"{key(1)}.tar", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    shelf.drop(key(1))
    assert get(shelf, 1, 100)
    os.close(fd)
    shelf.drop(key(1))
    shelf.drop(key(1))
    assert get(shelf, 1, 100) is None


KILLED = """
import os, signal, sys
from pathlib import Path
from dataio.stream.store.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]), int(sys.argv[2]))
slot = shelf.begin("0" * 40, 200)
slot.write(memoryview(b"x" * 50), 0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("again", ["the same", "another"])
def test_the_leftover_of_a_process_that_was_killed_is_swept(shelf: Shelf, tmp_path: Path, again: str) -> None:
    put(shelf, 7, 100)
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(shelf.limit)], check=False)
    assert held(tmp_path)["0" * 40 + ".part"] == 200
    if again == "the same":
        assert put(shelf, 0, 200)
    else:
        assert put(shelf, 1, 200) and get(shelf, 7, 100)  # the part went, and no entry had to
    assert not [name for name in held(tmp_path) if name.endswith(".part")]


def test_opening_sweeps_too(tmp_path: Path, shelf: Shelf) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(shelf.limit)], check=False)
    assert Shelf(tmp_path, shelf.limit).used() == 0
    assert list(held(tmp_path)) == ["lock"]


@pytest.mark.parametrize("ledger", [b"", b"nonsense", b"9" * 300, b"%020d" % 10**15])
def test_an_account_that_is_wrong_heals(shelf: Shelf, ledger: bytes) -> None:
    for number in (1, 2, 3):
        put(shelf, number, 100)
    (shelf.home / "lock").write_bytes(ledger)
    assert put(shelf, 4, 100)
    assert shelf.used() == 300


def test_a_smaller_limit_holds_as_soon_as_something_is_added(shelf: Shelf, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        put(shelf, number, 100)
    smaller = Shelf(tmp_path, 150 + LEDGER)
    assert put(smaller, 4, 100) and smaller.used() == 100


def test_a_full_disk_is_an_error_that_leaves_nothing(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        shelf.begin(key(1), 100)
    assert list(held(tmp_path)) == ["lock"]


def test_a_file_system_that_cannot_allocate_is_good_enough(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    assert put(shelf, 1, 100) and get(shelf, 1, 100) == content(1, 100)


def test_a_process_that_was_stopped_with_the_lock_stops_no_other(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(BusyError), lock.held(patience=0.05):
        pass
    os.close(fd)
    with lock.held(patience=0.05) as ledger:
        ledger.used = 5
    with lock.held() as ledger:
        assert ledger.used == 5


def test_no_descriptor_is_left(shelf: Shelf) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        put(shelf, number, 100)
        get(shelf, number, 100)
        get(shelf, number, 99)
        slot = shelf.begin(key(100 + number), 50)
        assert slot is not None
        shelf.discard(slot)
        shelf.drop(key(number))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Model(RuleBasedStateMachine):
    """Any sequence of what two users of one folder may do: the limit holds, and whatever is read is right."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self.temporary.name)
        self.limit = 1_000
        self.shelves = [Shelf(self.folder, self.limit), Shelf(self.folder, self.limit)]
        self.slots: list[tuple[Shelf, Slot]] = []

    @rule(who=st.integers(0, 1), number=st.integers(0, 9), length=st.integers(1, 700))
    def begin(self, who: int, number: int, length: int) -> None:
        slot = self.shelves[who].begin(key(number * 1_000 + length), length)
        if slot is not None:
            self.slots.append((self.shelves[who], slot))

    @precondition(lambda self: self.slots)
    @rule(which=st.integers(0, 10), good=st.booleans())
    def end(self, which: int, good: bool) -> None:
        shelf, slot = self.slots.pop(which % len(self.slots))
        if good:
            slot.write(memoryview(content(slot.length, slot.length)), 0)
            shelf.publish(slot)
        else:
            shelf.discard(slot)

    @rule(who=st.integers(0, 1), number=st.integers(0, 9), length=st.integers(1, 700))
    def read(self, who: int, number: int, length: int) -> None:
        view = memoryview(bytearray(length))
        if self.shelves[who].read(key(number * 1_000 + length), length, 0, view):
            assert bytes(view) == content(length, length)

    @rule(who=st.integers(0, 1), number=st.integers(0, 9), length=st.integers(1, 700))
    def drop(self, who: int, number: int, length: int) -> None:
        self.shelves[who].drop(key(number * 1_000 + length))

    @invariant()
    def bounded(self) -> None:
        assert sum(held(self.folder).values()) <= self.limit

    def teardown(self) -> None:
        for shelf, slot in self.slots:
            shelf.discard(slot)
        self.temporary.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
