"""Indexing against the plain reading of the same tars and against DALI's own wds2idx: one thread, page cache warm, one run.

Every contender runs once a round, in turn, so that a change of the machine's speed meets all; medians are reported.
"""

import io
import statistics
import tarfile
import time
import wave
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dataio.audit.reindex import reindex
from dataio.format import tar
from dataio.format.atomic import sync_folder
from dataio.ingest.executors import local
from train.environment import machine

_READ = 2**20  # bytes that plain reading takes at a time
_NOISE = 4 * 2**20  # bytes of noise from which all members are cut

READ, INDEX, WALK = "read, 1 MiB at a time", "index", "walk alone, nothing written"
HEADERS, WALK_HEADERS, WDS2IDX = "index, headers only", "walk alone, headers only", "wds2idx"

Sample = list[tuple[str, bytes]]


def index(folder: Path, *, rounds: int, scale: float = 1.0, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure on three sets of tars, made in a scratch folder inside `folder` and deleted afterwards.

    Args:
        folder: on the disk to be measured; it needs 1.7 GB at scale 1.
        scale: of the number of members.

    Returns:
        JSON: set → contender → seconds (median, min, max) and GB/s; `of_read`: speed of indexing with checksums as a share of plain
        reading; `times_wds2idx`, and `headers_times_wds2idx`: how many times as fast as DALI's tool.
    """
    sets = {}
    with TemporaryDirectory(dir=folder, prefix="bench-index-") as scratch:
        for name, (tars, samples) in _sets(scale).items():
            say(f"making {name}")
            place = Path(scratch) / name.split(":")[0]
            place.mkdir()
            members, size = _make(place, tars, samples)
            figures = _measure(place, size, rounds, partial(_tell, say, name))
            sets[name] = {"tars": tars, "members": members, "bytes": size} | figures
    return {"bench": "index", "machine": machine(), "rounds": rounds, "scale": scale, "threads": 1, "sets": sets}


def _tell(say: Callable[[str], None], name: str, text: str) -> None:
    say(f"{name}; {text}")


def _sets(scale: float) -> dict[str, tuple[int, Iterator[Sample]]]:
    noise = np.random.default_rng(0).bytes(_NOISE)
    clips, files, lines = (max(4, round(count * scale)) for count in (1040, 20_000, 50_000))
    return {
        "shards: clips of 8 pictures of 25 kB and 2 wav of 384 kB": (4, (_clip(noise, i) for i in range(clips))),
        "pictures: members of 25 kB": (2, ([(f"{i:06d}.jpg", _jpeg(noise, i))] for i in range(files))),
        "small: members of 200 B": (1, (_pair(noise, i) for i in range(lines))),
    }


def _clip(noise: bytes, i: int) -> Sample:
    key = f"recording-{i % 16}-{i:06d}"
    return [(f"{key}.f{k:03d}.jpg", _jpeg(noise, 8 * i + k)) for k in range(8)] + [
        (f"{key}.{pair}.wav", _wav(noise, i)) for pair in ("front", "back")
    ]


def _pair(noise: bytes, i: int) -> Sample:
    at = 200 * i % (_NOISE - 400)
    return [(f"{i:06d}.txt", noise[at : at + 200]), (f"{i:06d}.vec", noise[at + 200 : at + 400])]


def _jpeg(noise: bytes, i: int) -> bytes:
    """The head of a JPEG of 256x512, and noise: about 25 kB."""
    head = bytes.fromhex("ffd8 ffe0 0010 4a464946 0001 0100 0001 0001 0000 ffc0 0011 08 0100 0200 03 012200 021101 031101")
    at = 7919 * i % (_NOISE - 30_000)
    return head + noise[at : at + 24_000 + 31 * i % 2000]


def _wav(noise: bytes, i: int) -> bytes:
    """One second of noise, two ears at 96 kHz."""
    at = 4099 * i % (_NOISE - 384_000)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 96_000, 96_000, "NONE", "not compressed"))
        file.writeframes(noise[at : at + 384_000])
    return buffer.getvalue()


def _make(folder: Path, tars: int, samples: Iterator[Sample]) -> tuple[int, int]:
    """Deal the samples over tars; how many members, and bytes in all."""
    paths = [folder / f"{i:03d}.tar" for i in range(tars)]
    files = [tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) for path in paths]  # noqa: SIM115  closed below
    members = 0
    for i, sample in enumerate(samples):
        for name, data in sample:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            files[i % tars].addfile(info, io.BytesIO(data))
            members += 1
    for file in files:
        file.close()
    return members, sum(path.stat().st_size for path in paths)


def _measure(folder: Path, size: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    paths = sorted(folder.glob("*.tar"))
    contenders: dict[str, Callable[[], object]] = {
        READ: partial(_read, paths),
        INDEX: partial(reindex, folder, local(1)),
        WALK: partial(_walk, paths, True),
        HEADERS: partial(reindex, folder, local(1), headers_only=True),
        WALK_HEADERS: partial(_walk, paths, False),
        WDS2IDX: partial(_wds2idx, paths),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):  # the first round warms up: compilers, page cache
        say(f"round {i} of {rounds}" if i else "warm-up")
        for name, run in contenders.items():
            for leftover in (*folder.glob("*.npz"), *folder.glob("*.idx"), *folder.glob("*.wds2idx")):
                leftover.unlink()  # every index is written anew
            sync_folder(folder)  # the disk's work for that is not part of the figure
            start = time.perf_counter()
            run()
            if i:
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {
        "contenders": {
            name: {"median": median[name], "min": min(taken), "max": max(taken), "gb_per_s": size / median[name] / 1e9}
            for name, taken in seconds.items()
        },
        "of_read": median[READ] / median[INDEX],
        "walk_of_read": median[READ] / median[WALK],
        "times_wds2idx": median[WDS2IDX] / median[INDEX],
        "headers_times_wds2idx": median[WDS2IDX] / median[HEADERS],
    }


def _read(paths: list[Path]) -> None:
    buffer = bytearray(_READ)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _walk(paths: list[Path], checksums: bool) -> None:
    for path in paths:
        tar.walk(path, checksums=checksums)


def _wds2idx(paths: list[Path]) -> None:
    """As DALI's tool does it, without a process of its own and without its messages."""
    from wds2idx import IndexCreator

    for path in paths:
        with IndexCreator(str(path), str(path.with_suffix(".wds2idx")), verbose=False) as creator:
            creator.create_index()
