"""A disk that fails while it is read stops the build: nobody gets a set that lacks a recording without having been told.

The failing disk is real to every library: a shim before the C library's `read` answers EIO for some bytes of one file.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.media import make_sound, make_video, noise, numbered

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FAIL_NAME: how the file's path ends. FAIL_AT: the first byte that cannot be read. */
static size_t readable(int fd, off_t at, size_t count) {
    const char *name = getenv("FAIL_NAME"), *from = getenv("FAIL_AT");
    char link[64], path[4096];
    if (!name || !from || !*name || at < 0) return count;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < (ssize_t)strlen(name)) return count;
    path[length] = 0;
    if (strcmp(path + length - strlen(name), name)) return count;
    off_t left = atol(from) - at;
    return left <= 0 ? 0 : (off_t)count < left ? count : (size_t)left;
}

#define SHIMMED(NAME, PARAMETERS, ARGUMENTS, AT)                                  \
    ssize_t NAME PARAMETERS {                                                     \
        static ssize_t (*real) PARAMETERS;                                        \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #NAME);                     \
        size_t most = readable(fd, AT, count);                                    \
        if (count && !most) { errno = EIO; return -1; }                           \
        count = most;                                                             \
        return real ARGUMENTS;                                                    \
    }
SHIMMED(read, (int fd, void *to, size_t count), (fd, to, count), lseek(fd, 0, SEEK_CUR))
SHIMMED(pread, (int fd, void *to, size_t count, off_t at), (fd, to, count, at), at)
SHIMMED(pread64, (int fd, void *to, size_t count, off_t at), (fd, to, count, at), at)
"""

BUILD = """
import json, os, sys
from pathlib import Path
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.errors import SourceError
from dataio.ingest.executors import local

options = BuildOptions(EncodeOptions(size=(16, 32), fps=2.0, rate=48_000))
folder, told = Path(sys.argv[1]), {}
for case, (source, name, at) in json.loads(sys.argv[2]).items():
    os.environ |= {"FAIL_NAME": name, "FAIL_AT": str(at)}
    out = folder / case
    try:
        first = build(folder / source, out, options, local(1))
    except (OSError, SourceError) as error:
        first = f"{type(error).__name__}: {error}"
    os.environ["FAIL_NAME"] = ""
    told[case] = first, isinstance(first, str) and build(folder / source, out, options, local(1))["skipped"]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`raw`: a recording in each form. `pictures`: two class tars. `classes`: two class folders."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "raw").mkdir()
    opus = {"sound": noise(4.2, 48_000), "sound_codec": "libopus"}
    for name, how in {"beside.mp4": {}, "late.mp4": {}, "own.mkv": opus, "web.webm": opus | {"codec": "libvpx-vp9"}}.items():
        make_video(folder / "raw" / name, (numbered(k, 32, 64) for k in range(42)), fps=10, **how)
    for name in ("beside", "late"):
        make_sound(folder / "raw" / f"{name}.wav", noise(4.2, 48_000), 48_000)
    (folder / "pictures").mkdir()
    for name in ("n01", "n02"):
        with tarfile.open(folder / "pictures" / f"{name}.tar", "w") as tar:
            for i in range(8):
                Image.fromarray(numbered(i)).save(folder / "one.jpg")
                tar.add(folder / "one.jpg", f"{name}_{i}.JPEG")
        (folder / "classes" / name).mkdir(parents=True)
        shutil.copy(folder / "one.jpg", folder / "classes" / name / f"{name}.jpg")
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Case → what the build said with the failing disk, and what it skipped when it went on with a whole one."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc to make a failing disk with")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    size = {path.name: path.stat().st_size for path in (folder / "raw").iterdir()}
    cases = {
        "a wav midway": ("raw", "beside.wav", size["beside.wav"] * 3 // 4),
        "the head of a wav": ("raw", "beside.wav", 0),
        "the tail of an mp4": ("raw", "beside.mp4", size["beside.mp4"] - 100),
        "the head of an mp4": ("raw", "beside.mp4", 0),
        "an mkv midway": ("raw", "own.mkv", size["own.mkv"] // 2),
        "the head of a webm": ("raw", "web.webm", 0),
        "a webm midway": ("raw", "web.webm", size["web.webm"] // 2),
        "the last second of an mkv": ("raw", "own.mkv", size["own.mkv"] * 4 // 5),
        "the last second of a webm": ("raw", "web.webm", size["web.webm"] * 4 // 5),
        "the last second of an mp4": ("raw", "beside.mp4", size["beside.mp4"] * 4 // 5),
        "a class tar": ("pictures", "n02.tar", 4096),
        "the head of a class tar": ("pictures", "n02.tar", 0),
        "a picture": ("classes", "n02.jpg", 0),
    }
    environment = os.environ | {"LD_PRELOAD": str(folder / "shim.so")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder), json.dumps(cases)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


CASES = {
    "a wav midway": "beside.wav",
    "the head of a wav": "beside.wav",
    "the tail of an mp4": "beside.mp4",
    "the head of an mp4": "beside.mp4",
    "an mkv midway": "own.mkv",
    "the head of a webm": "web.webm",
    "a webm midway": "web.webm",
    "the last second of an mkv": "own.mkv",
    "the last second of a webm": "web.webm",
    "the last second of an mp4": "beside.mp4",
    "a class tar": "n02.tar",
    "the head of a class tar": "n02.tar",
    "a picture": "n02.jpg",
}


@pytest.mark.parametrize("case", CASES)
def test_a_failing_disk_stops_the_build_which_goes_on_when_it_is_whole(told: dict[str, tuple[str, dict]], case: str) -> None:
    first, skipped = told[case]
    assert isinstance(first, str) and first.startswith("OSError: the storage of the source failed: "), first
    assert CASES[case] in first
    assert "Input/output error" in first or "I/O error" in first
    assert skipped == {}
