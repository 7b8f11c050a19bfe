"""Shards on this machine: the right bytes, and what is said when they do not come."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format import manifest
from dataio.format.table import FormatError
from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError
from dataio.stream.store.local import LocalStore
from dataio.stream.store.place import open_store
from tests.dataio.stream.store.sets import make_set


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    folder = tmp_path_factory.mktemp("local")
    return folder, make_set(folder, shards=5, size=10_000)


@pytest.fixture
def broken(tmp_path: Path) -> tuple[Path, dict[int, bytes]]:
    """A set of one's own, to break."""
    return tmp_path, make_set(tmp_path, shards=3, size=10_000)


def read(store, shard: int, offset: int, count: int, **how: bool) -> bytes:
    out = np.zeros(count, np.uint8)
    store.read(shard, offset, out, **how)
    return out.tobytes()


def descriptors() -> int:
    """Open ones of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@settings(max_examples=50, deadline=None)
@given(shard=st.integers(0, 4), ends=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), fresh=st.booleans())
def test_a_read_is_what_a_slice_is(whole, shard: int, ends: tuple[int, int], fresh: bool) -> None:
    folder, data = whole
    low, high = sorted(ends)
    with LocalStore(folder, descriptors=2) as store:
        assert read(store, shard, low, high - low, fresh=fresh) == data[shard][low:high]


def test_threads_get_their_own_bytes_through_few_descriptors(whole) -> None:
    folder, data = whole
    before = descriptors()
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            shard, low = int(rng.integers(5)), int(rng.integers(9_000))
            if read(store, shard, low, 1_000) != data[shard][low : low + 1_000]:
                wrong.append(seed)

    with LocalStore(folder, descriptors=2) as store:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert descriptors() <= before + 2
        assert store.report() == {"place": str(folder), "bytes": 1_600_000, "requests": 1_600, "retries": 0, "notes": []}
    assert descriptors() == before


def test_the_index_is_the_one_that_the_manifest_names(broken) -> None:
    folder, _ = broken
    with LocalStore(folder) as store:
        assert store.index(1).tar_bytes == 10_001
        assert store.index(1) is store.index(1)
    path = folder / "clips-000002.npz"
    path.write_bytes(path.read_bytes().replace(b"a-000002", b"a-000003"))
    with LocalStore(folder) as store, pytest.raises(FormatError, match="clips-000002.npz does not match its checksum"):
        store.index(2)


def test_a_shard_that_vanished_is_named(broken) -> None:
    folder, _ = broken
    with LocalStore(folder) as store:
        for kind in ("tar", "npz"):
            (folder / f"clips-000001.{kind}").unlink()
        with pytest.raises(ShardMissingError, match=r"clips-000001\.tar is gone; the manifest of .* names it") as caught:
            read(store, 1, 5, 10)
        assert (caught.value.shard, caught.value.offset) == ("clips-000001", 5)
        with pytest.raises(FileNotFoundError, match=r"clips-000001\.npz is gone"):
            store.index(1)
        assert store.report()["retries"] == 0 and store.pending() == []


def test_a_shard_that_is_cut_short_says_where_it_ends(broken) -> None:
    folder, data = broken
    os.truncate(folder / "clips-000001.tar", 4_000)
    with LocalStore(folder) as store:
        assert read(store, 1, 3_000, 1_000) == data[1][3_000:4_000]
        for offset in (3_500, 4_000, 6_000):
            with pytest.raises(CutShortError, match=f"ends at byte 4000; its index promises {offset + 1_000}") as caught:
                read(store, 1, offset, 1_000)
            assert caught.value.end == 4_000


def test_a_store_that_was_closed_reads_no_more(whole) -> None:
    store = LocalStore(whole[0])
    store.close()
    with pytest.raises(ReadError, match="the store was closed"):
        read(store, 0, 0, 10)


@pytest.mark.parametrize("name", ["../clips-000000", "/etc/passwd", "a/b", "", "a\0b"])
def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    make_set(tmp_path, shards=1)
    table = manifest.load(tmp_path)
    table.shards["name"] = np.array([name.encode()], "S")
    if table.name(0) != name:
        pytest.skip("numpy ends a name at its last zero byte")
    (tmp_path / "manifest.npz").write_bytes(table.dump())
    with LocalStore(tmp_path) as store:
        for act in (lambda: read(store, 0, 0, 10), lambda: store.index(0)):
            with pytest.raises(FormatError, match="allowed is the name of a file beside the manifest"):
                act()


def test_a_path_gives_a_local_store(whole) -> None:
    with open_store(str(whole[0])) as store:  # type: ignore[attr-defined]
        assert isinstance(store, LocalStore) and not store.remote
        assert str(store) == str(whole[0])
    with pytest.raises(FileNotFoundError, match="is no finished shard set"):
        open_store(whole[0] / "nothing")


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The first FAIL_TIMES reads of a .tar that begin at FAIL_AT or later fail with FAIL_ERRNO; with 0 they hang. */
static ssize_t failing(int fd, off_t at) {
    static int left = -1;
    char link[64], path[4096];
    if (left < 0) left = atoi(getenv("FAIL_TIMES"));
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 4 || strncmp(path + n - 4, ".tar", 4) || at < atol(getenv("FAIL_AT")) || left == 0) return 0;
    left--;
    if (!atoi(getenv("FAIL_ERRNO"))) return sleep(3600);
    errno = atoi(getenv("FAIL_ERRNO"));
    return -1;
}
ssize_t preadv(int fd, const struct iovec *v, int n, off_t at) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "preadv");
    return failing(fd, at) ? -1 : real(fd, v, n, at);
}
ssize_t preadv64(int fd, const struct iovec *v, int n, off_t at) { return preadv(fd, v, n, at); }
ssize_t preadv2(int fd, const struct iovec *v, int n, off_t at, int flags) { return preadv(fd, v, n, at); }
ssize_t preadv64v2(int fd, const struct iovec *v, int n, off_t at, int flags) { return preadv(fd, v, n, at); }
"""

READS = """
import sys
import numpy as np
from pathlib import Path
from dataio.stream.store.local import LocalStore
with LocalStore(Path(sys.argv[1]), deadline=0.5) as store:
    out = np.zeros(1000, np.uint8)
    try:
        store.read(1, 5000, out)
        print("right" if out.tobytes() == store.path(1).read_bytes()[5000:6000] else "wrong", store.report()["retries"])
    except OSError as error:
        print(type(error).__name__, error.offset, error)
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("gcc"):
        pytest.skip("no gcc to make a failing disk with")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    return folder / "shim.so"


@pytest.mark.parametrize(
    ("number", "times", "said"),
    [
        (5, 2, "right 2"),
        (116, 2, "right 2"),
        (5, 1_000, "ReadError 5000 reading {}/clips-000001.tar at byte 5000 failed: Input/output error ("),
        (13, 1, "ReadError 5000 reading {}/clips-000001.tar at byte 5000 failed: Permission denied (1 attempt in "),
    ],
    ids=["EIO passes", "ESTALE passes", "EIO stays", "EACCES"],
)
def test_a_failing_disk_is_asked_again_and_then_named(whole, shim: Path, number: int, times: int, said: str) -> None:
    environment = os.environ | {"LD_PRELOAD": str(shim), "FAIL_ERRNO": str(number), "FAIL_TIMES": str(times), "FAIL_AT": "5000"}
    done = subprocess.run([sys.executable, "-c", READS, whole[0]], env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout.startswith(said.format(whole[0])), done.stdout + done.stderr


HANGS = """
import os, sys, threading, time
import numpy as np
from pathlib import Path
from dataio.stream.store.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
threading.Thread(target=store.read, args=(1, 5000, np.zeros(10, np.uint8)), daemon=True).start()
while not (found := store.pending()) or found[0].seconds < 0.2:
    store.read(2, 100, np.zeros(10, np.uint8))
    time.sleep(0.01)
print(found[0].shard, found[0].offset, len(found))
store.close()
os._exit(0)
"""


def test_a_read_that_hangs_in_the_kernel_is_named_and_holds_up_no_other(whole, shim: Path) -> None:
    environment = os.environ | {"LD_PRELOAD": str(shim), "FAIL_ERRNO": "0", "FAIL_TIMES": "1", "FAIL_AT": "5000"}
    done = subprocess.run([sys.executable, "-c", HANGS, whole[0]], env=environment, capture_output=True, text=True, timeout=600)
    assert done.stdout == "clips-000001 5000 1\n", done.stdout + done.stderr


LACKING = """
import sys
for name in ("fsspec", "aiohttp", "s3fs", "botocore", "torch", "numba", "cv2"):
    sys.modules[name] = None
from dataio.stream.store.place import open_store
print(len(open_store(sys.argv[1]).manifest))
"""


def test_a_local_set_needs_no_other_package(whole) -> None:
    done = subprocess.run([sys.executable, "-c", LACKING, whole[0]], capture_output=True, text=True, timeout=600)
    assert done.stdout == "5\n", done.stderr
