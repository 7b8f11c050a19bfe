"""The cache of a remote set, against a real server: what is fetched, what is kept, and what happens when the disk fails."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataio.stream.store.cache import BLOCK
from dataio.stream.store.errors import CutShortError
from dataio.stream.store.place import open_store
from dataio.stream.store.remote import RemoteStore
from dataio.stream.store.shelf import FOLDER
from dataio.stream.store.store import Cache
from tests.dataio.stream.store.sets import make_set
from tests.servers import Fault, FolderServer, serve

SIZE = 200_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    folder = tmp_path_factory.mktemp("cached")
    return folder, make_set(folder, shards=6, size=SIZE)


@pytest.fixture
def server(data) -> Iterator[FolderServer]:
    with serve(data[0]) as server:
        yield server


def read(store, shard: int, offset: int, count: int, **how: bool) -> bytes:
    out = np.zeros(count, np.uint8)
    store.read(shard, offset, out, **how)
    return out.tobytes()


def wait(condition: Callable[[], object], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def entries(folder: Path, kind: str = "tar") -> list[Path]:
    return sorted((folder / FOLDER).glob(f"*.{kind}"))


def test_what_is_expected_is_read_from_the_disk(server: FolderServer, data, tmp_path: Path) -> None:
    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:
        store.expect([3, 1])
        wait(lambda: len(entries(tmp_path)) == 2)
        asked = len(server.requests)
        for shard in (1, 3, 1):
            assert read(store, shard, 100, 5_000) == data[1][shard][100:5_100]
        assert len(server.requests) == asked
        assert read(store, 2, 100, 5_000) == data[1][2][100:5_100]  # not expected: by ranges
        assert server.requests[-1] == ("clips-000002.tar", 100, 5_099)
        report = store.report()
        assert json.loads(json.dumps(report)) == report
        size = 2 * SIZE + 4
        told = {"hits": 3, "misses": 1, "fetched": size, "evictions": 0, "bytes": size, "limit": 10 * SIZE, "on": True}
        assert report["cache"] == told
    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:  # the next run finds it
        asked = server.asked(".tar")
        store.expect([3, 1])
        assert read(store, 3, 7, 9) == data[1][3][7:16]
        assert server.asked(".tar") == asked


def test_what_comes_later_does_not_displace_what_comes_first(server: FolderServer, tmp_path: Path) -> None:
    with RemoteStore(server.url, cache=Cache(tmp_path, 2 * SIZE + 1_000)) as store:
        store.expect([0, 1, 2, 3])
        wait(lambda: len(entries(tmp_path)) == 2 and not entries(tmp_path, "part"))
        wait(lambda: server.asked(".npz") == 5)  # all threads are through: the manifest, and four indexes
        assert not server.asked("clips-000002.tar") and not server.asked("clips-000003.tar")
        assert store.report()["cache"]["evictions"] == 0
        store.expect([2, 3])
        wait(lambda: server.asked("clips-000002.tar") and server.asked("clips-000003.tar") and not entries(tmp_path, "part"))
        assert len(entries(tmp_path)) == 2 and store.report()["cache"]["evictions"] == 2


def test_a_shard_that_is_larger_than_the_cache_is_read_by_ranges(
    server: FolderServer, data, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RemoteStore(server.url, cache=Cache(tmp_path, SIZE // 2)) as store:
        store.expect([0, 1])
        assert read(store, 1, 0, 1_000) == data[1][1][:1_000]
        (note,) = store.report()["notes"]
        assert note.startswith("6 of 6 shards are larger than the 100000 bytes of the cache in") and note in capsys.readouterr().err
    assert entries(tmp_path) == []


def test_bytes_that_were_hurt_on_the_disk_are_replaced(server: FolderServer, data, tmp_path: Path) -> None:
    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:
        store.expect([1])
        wait(lambda: entries(tmp_path))
        (entry,) = entries(tmp_path)
        with entry.open("r+b") as file:
            file.seek(500)
            file.write(b"\0" * 100)
        assert read(store, 1, 400, 1_000) != data[1][1][400:1_400]
        assert read(store, 1, 400, 1_000, fresh=True) == data[1][1][400:1_400]
        wait(lambda: entries(tmp_path))  # fetched again
        assert read(store, 1, 400, 1_000) == data[1][1][400:1_400]
        assert server.asked("clips-000001.tar") == 3


def test_what_is_damaged_in_the_storage_is_not_fetched_again_and_again(server: FolderServer, tmp_path: Path) -> None:
    server.faults = [Fault("clips-000001.tar", flip=500)]
    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:
        store.expect([1])
        wait(lambda: entries(tmp_path))
        for _ in range(5):
            assert read(store, 1, 400, 200) == read(store, 1, 400, 200, fresh=True)
        assert len(entries(tmp_path)) == 1
        assert sum(last - first > 1_000 for path, first, last in server.requests if path == "clips-000001.tar") == 1


def test_sets_do_not_meet_nor_does_a_set_its_former_self(tmp_path: Path) -> None:
    sets = {name: make_set(tmp_path / name, shards=2, size=1_000, seed=seed) for seed, name in enumerate(("a", "b"))}
    cache = Cache(tmp_path / "cache", 100_000)
    with serve(tmp_path) as server:
        for name, there in (("a", 2), ("b", 4), ("a", 4)):
            with RemoteStore(f"{server.url}/{name}", cache=cache) as store:
                store.expect([0, 1])
                wait(lambda there=there: len(entries(cache.folder)) == there)
                assert [read(store, shard, 0, 1_000) for shard in (0, 1)] == [sets[name][shard][:1_000] for shard in (0, 1)]
        built_again = make_set(tmp_path / "a", shards=2, size=1_000, seed=7)
        with RemoteStore(f"{server.url}/a", cache=cache) as store:
            store.expect([0, 1])
            for _ in range(20):
                assert [read(store, shard, 0, 1_000) for shard in (0, 1)] == [built_again[shard][:1_000] for shard in (0, 1)]


def test_a_shard_that_is_cut_short_is_read_as_far_as_it_goes(server: FolderServer, data, tmp_path: Path) -> None:
    server.faults = [Fault("clips-000001.tar", cut=4_000)]
    for whole in (True, False):
        with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE, whole=whole)) as store:
            for _ in range(3):
                store.expect([1])
                assert read(store, 1, 100, 900) == data[1][1][100:1_000]
                with pytest.raises(CutShortError):
                    read(store, 1, 3_500, 1_000)
    wait(lambda: not entries(tmp_path, "part"))
    assert entries(tmp_path) == []


def test_a_download_that_failed_is_tried_again_when_it_is_expected_again(server: FolderServer, tmp_path: Path) -> None:
    server.faults = [Fault("clips-000001.tar", times=1, status=403)]
    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:
        store.expect([1])
        wait(lambda: server.asked("clips-000001.tar") == 1 and not entries(tmp_path, "part"))
        deadline = time.monotonic() + 300
        while not entries(tmp_path) and time.monotonic() < deadline:
            store.expect([1])
            time.sleep(0.02)
        assert entries(tmp_path)


def test_a_transfer_that_hangs_does_not_keep_the_store_from_closing(server: FolderServer, tmp_path: Path) -> None:
    server.faults = [Fault(".tar", hang=True)]
    store = RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE))
    store.expect([0, 1, 2])
    wait(lambda: server.asked(".tar") == 2)
    begin = time.monotonic()
    store.close()
    assert time.monotonic() - begin < 120  # not at the end of a transfer, which hangs
    assert entries(tmp_path, "part") == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5 * BLOCK), st.integers(0, 3 * BLOCK)), max_size=5))
def test_blocks_give_what_a_slice_gives(blocks, reads: list[tuple[int, int, int]]) -> None:
    store, data = blocks
    for shard, low, count in reads:
        high = min(low + count, len(data[shard]))
        assert read(store, shard, low, max(0, high - low)) == data[shard][low:high]
    assert store.report()["cache"]["bytes"] <= 6 * BLOCK


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RemoteStore, dict[int, bytes]]]:
    """Three shards of some five blocks, and a cache for six."""
    folder = tmp_path_factory.mktemp("blocks")
    data = make_set(folder / "set", shards=3, size=5 * BLOCK + 1_234)
    with serve(folder / "set") as server, RemoteStore(server.url, cache=Cache(folder, 6 * BLOCK, whole=False)) as store:
        yield store, data


def test_blocks_that_were_read_are_not_asked_for_again(tmp_path: Path) -> None:
    data = make_set(tmp_path / "set", shards=1, size=4 * BLOCK)
    with serve(tmp_path / "set") as server, RemoteStore(server.url, cache=Cache(tmp_path, 10 * BLOCK, whole=False)) as store:
        for _ in range(2):
            assert read(store, 0, BLOCK - 10, 20) == data[0][BLOCK - 10 : BLOCK + 10]
        assert read(store, 0, 5, 10) == data[0][5:15]
        assert server.requests[1:] == [("clips-000000.tar", 0, 2 * BLOCK - 1)]  # both blocks at once
        with next(path for path in entries(tmp_path)).open("r+b") as file:
            file.write(bytes(100))
        assert read(store, 0, 0, 2 * BLOCK, fresh=True) == data[0][: 2 * BLOCK]
        assert len(entries(tmp_path)) == 1
        assert read(store, 0, 0, 2 * BLOCK) == data[0][: 2 * BLOCK]
        assert store.report()["cache"]["hits"] == 2


def test_a_slow_mount_can_have_a_cache_too(data, tmp_path: Path) -> None:
    with open_store(data[0], cache=Cache(tmp_path, 10 * SIZE)) as store:  # type: ignore[attr-defined]
        store.expect([2])
        wait(lambda: entries(tmp_path))
        assert read(store, 2, 1, 10) == data[1][2][1:11]
        assert store.report()["cache"]["hits"] == 1


FULL = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from dataio.stream.store.remote import RemoteStore
from dataio.stream.store.store import Cache
with RemoteStore(sys.argv[1], cache=Cache(Path(sys.argv[2]), 10**7, whole=sys.argv[3] == "whole")) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    store.expect([0, 1])
    out = np.zeros(1000, np.uint8)
    store.read(0, 500, out)
    while store.report()["cache"]["on"]:
        time.sleep(0.01)
    store.read(0, 500, out)
    print(out.tobytes().hex())
    print(json.dumps(store.report()["notes"]))
"""


@pytest.mark.parametrize("how", ["whole", "blocks"])
def test_a_disk_that_takes_no_more_ends_the_cache_and_not_the_run(server: FolderServer, data, tmp_path: Path, how: str) -> None:
    """The system refuses to make a file larger, as it does on a full disk."""
    done = subprocess.run([sys.executable, "-c", FULL, server.url, tmp_path, how], capture_output=True, text=True, timeout=600)
    read, notes = done.stdout.splitlines()
    assert bytes.fromhex(read) == data[1][0][500:1_500]
    said = f"the cache in {tmp_path / FOLDER} takes nothing more (File too large): the rest is read by ranges"
    assert json.loads(notes) == [said] and done.stderr == f"sonosphere: {said}\n"
    assert entries(tmp_path) == entries(tmp_path, "part") == []


def test_a_cache_that_cannot_be_made_is_told_at_once(server: FolderServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^the cache folder \S+/file cannot be used: "):
        RemoteStore(server.url, cache=Cache(tmp_path / "file", 1_000))
    with pytest.raises(ValueError, match="bytes=0 of the cache in .* must be positive"):
        Cache(tmp_path, 0)


def test_a_cache_folder_that_was_removed_meanwhile_is_no_end_of_the_run(server: FolderServer, data, tmp_path: Path) -> None:
    import shutil

    with RemoteStore(server.url, cache=Cache(tmp_path, 10 * SIZE)) as store:
        shutil.rmtree(tmp_path / FOLDER)
        store.expect([0])
        wait(lambda: not store.report()["cache"]["on"])
        assert read(store, 0, 0, 10) == data[1][0][:10]


HAMMER = """
import os, sys, time
from pathlib import Path
import numpy as np
from dataio.stream.store.remote import RemoteStore
from dataio.stream.store.store import Cache
url, folder, limit, whole, seed, rounds, truth, enough = sys.argv[1:]
rng = np.random.default_rng(int(seed))
tars = [path.read_bytes() for path in sorted(Path(truth).glob("*.tar"))]
with RemoteStore(url, cache=Cache(Path(folder), int(limit), whole == "whole")) as store:
    done = 0
    while done < int(rounds) or not Path(enough).exists():
        done += 1
        ahead = rng.permutation(len(tars))[:4]
        store.expect(ahead.tolist())
        for shard in rng.choice(ahead, 10).tolist():
            low = int(rng.integers(len(tars[shard])))
            out = np.zeros(int(rng.integers(min(50_000, len(tars[shard]) - low) + 1)), np.uint8)
            store.read(shard, low, out, fresh=rng.random() < 0.02)
            assert out.tobytes() == tars[shard][low : low + len(out)], (shard, low)
        time.sleep(0.05)
    report = store.report()
    assert report["cache"]["on"] and not report["notes"], report
print(report["cache"]["hits"], report["cache"]["evictions"])
"""


@pytest.mark.parametrize("how", ["whole", "blocks"])
def test_processes_share_a_tiny_cache(tmp_path: Path, how: str) -> None:
    """Two sets, four processes, one of them killed again and again; the folder is watched all the time."""
    size = 200_000 if how == "whole" else BLOCK + 100_000
    limit = 3 * size if how == "whole" else 4 * BLOCK
    for seed, name in enumerate(("a", "b")):
        make_set(tmp_path / name, shards=6, size=size, seed=seed)
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "foreign.tar").write_bytes(b"mine" * 1_000)
    most, samples = 0, 0
    with serve(tmp_path) as server:

        def start(seed: int, rounds: int) -> subprocess.Popen[str]:
            name = "ab"[seed % 2]
            arguments = [f"{server.url}/{name}", tmp_path, limit, how, seed, rounds, tmp_path / name, tmp_path / "enough"]
            command = [sys.executable, "-c", HAMMER, *map(str, arguments)]
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        workers, victim = [start(seed, 12) for seed in range(3)], start(3, 1_000)
        killed, born = 0, time.monotonic()
        while any(worker.poll() is None for worker in workers):
            # files grow while the lock is held, and only then: a look without it may count a file and its successor
            with (tmp_path / FOLDER / "lock").open("ab") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                found = {}
                for entry in os.scandir(tmp_path / FOLDER):
                    if entry.name != "foreign.tar":
                        with suppress(FileNotFoundError):
                            facts = entry.stat()
                            found[facts.st_ino] = facts.st_size  # one that changes its name meanwhile is one
            most, samples = max(most, sum(found.values())), samples + 1
            time.sleep(0.001)  # the others want the lock too
            if time.monotonic() - born > 1.2:
                victim.kill()
                victim.communicate()
                victim, killed, born = start(3, 1_000), killed + 1, time.monotonic()
            if killed >= 3 and samples > 100:
                (tmp_path / "enough").touch()
        victim.kill()
        victim.communicate()
        for worker in workers:
            out, err = worker.communicate()
            assert worker.returncode == 0, err
            hits, evictions = map(int, out.split())
            assert hits > 0 and evictions > 0
    assert size < most <= limit
    assert (tmp_path / FOLDER / "foreign.tar").read_bytes() == b"mine" * 1_000
