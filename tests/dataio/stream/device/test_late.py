"""The whole of the GPU's batches on a device that is late: they are the CPU's in every order that streams allow, and a rule that is
broken shows.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from dataio import ClipLoader, ClipSpec
from dataio.format.clip import PAIRS
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from dataio.stream.clips import cuda_batcher
from dataio.stream.decode.safe import SafePipeline
from dataio.stream.engine import Made, Means
from dataio.stream.health import Health
from dataio.stream.kernels.rotate import STD
from dataio.stream.loader import Loader
from dataio.stream.reader import ClipReader
from tests.dataio.stream.device.late import Late, cpu_kernels
from tests.dataio.stream.device.recorded import copied_set, vp9_set
from tests.tiny import TINY, jpeg, tiny_set

Batches = list[dict[str, np.ndarray]]
WHOLE = ClipSpec(frames=2, size=(16, 32), pairs=PAIRS, sound="log", sound_seconds=0.1, yaw_classes=4, augment=("turn", "mirror"))


def late(seed: int = 0, eagerness: int = 3) -> Late:
    return Late(seed, eagerness, cpu_kernels())


def opened(shards: Path | dict[str, Path], spec: ClipSpec, device: Late, **options: Any) -> Loader:
    """As ClipLoader, its batches made as for a GPU."""

    def make(means: Means) -> Made:
        return Made(cuda_batcher(spec, means, device), "dali")

    return Loader(shards, partial(ClipReader, spec=spec), make, spec.stored_pairs, **options)


def taken(loader: Loader, device: Late) -> Batches:
    """An epoch, as the user's stream sees it when it comes to it; every batch is dropped at once."""
    found = [device.take(batch) for batch in loader]
    device.finish()
    return found


def epoch(shards: Any, spec: ClipSpec, device: Late, **options: Any) -> Batches:
    with opened(shards, spec, device, **options) as loader:
        return taken(loader, device)


def expected(shards: Any, spec: ClipSpec, **options: Any) -> Batches:
    with ClipLoader(shards, spec, **options) as loader:
        return [{name: value.numpy() for name, value in batch.items()} for batch in loader]


def same(ours: Batches, theirs: Batches, levels: float = 2.5) -> None:
    """Everything identical but frames: within these grey levels on 99.9 % of them, as decoders differ and float16 rounds."""
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert set(a) == set(b)
        for name in set(a) - {"frames"}:
            assert a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]), name
        if "frames" in a:
            grey = np.abs(a["frames"].astype(np.float32) - b["frames"]) * 255 * np.array(STD, np.float32).reshape(3, 1, 1, 1)
            assert a["frames"].dtype == np.float16 and np.count_nonzero(~(grey <= levels)) <= 0.001 * grey.size  # a NaN counts


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips with motion and a mask."""
    folder = tmp_path_factory.mktemp("mapped")
    write_recordings(folder / "recordings", recordings=2, seconds=8.0, seed=5, size=(32, 64))
    encode = EncodeOptions(size=(32, 64), fps=4.0, flow=True, mask=True)
    build(folder / "recordings", folder / "shards", BuildOptions(encode, split="train=1"), local(1))
    return folder / "shards"


@pytest.mark.parametrize("eagerness", [0, 2, 9])
@pytest.mark.parametrize("kind", ["log", "magnitude", "complex", "ipd"])
def test_every_kind_of_sound_beside_frames(shards: Path, kind: Any, eagerness: int) -> None:
    spec = ClipSpec(**WHOLE.__dict__ | {"sound": kind, "partner": kind != "log"})
    options = {"batch_size": 3, "epochs": 1, "threads": 2}
    same(epoch(shards, spec, late(7, eagerness), **options), expected(shards, spec, **options))


@pytest.mark.parametrize("tilt", [0.0, 30.0])
@pytest.mark.parametrize("frames", [0, 2])
def test_maps_turned_mirrored_and_tilted(mapped: Path, frames: int, tilt: float) -> None:
    spec = ClipSpec(frames, (16, 32), (), flow=True, mask=True, yaw_classes=4, augment=("turn", "mirror"), tilt=tilt)
    options = {"batch_size": 2, "epochs": 1, "threads": 2}
    same(epoch(mapped, spec, late(), **options), expected(mapped, spec, **options))


def _never_waits(self: Any, keep: int) -> None:
    while self._batches:
        self._batches.popleft().done()


def _held_by_nobody(self: Any, ready: Any, done: Any, spans: Any = ()) -> None:
    done()


def _without_waiting(self: Any, batch: Any) -> Any:
    self._device.users.queue.append(lambda: None)
    return dict(batch)


def _without_recording(self: Any, batch: Any) -> Any:
    self._device.hand_over(batch.ready, ())
    return dict(batch)


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("device.retired.Retired.sweep", _never_waits),
        ("device.retired.Retired.add", _held_by_nobody),
        ("batch_cuda.CudaBatcher.hand_over", _without_waiting),
        ("batch_cuda.CudaBatcher.hand_over", _without_recording),
    ],
    ids=["memory given back without waiting", "memory held by nobody", "no wait for the batch", "tensors not recorded"],
)
def test_a_rule_that_is_broken_shows(shards: Path, place: str, instead: Callable[..., Any], monkeypatch) -> None:
    """So that the tests above are worth something: the same loader with one of its precautions left out."""
    options = {"batch_size": 2, "epochs": 1, "threads": 2, "prefetch": 1}
    right = expected(shards, WHOLE, **options)
    same(epoch(shards, WHOLE, late(0, 1), **options), right)
    monkeypatch.setattr(f"dataio.stream.{place}", instead)
    with pytest.raises((AssertionError, ValueError)):  # a kernel may refuse what it is given
        same(epoch(shards, WHOLE, late(0, 1), **options), right)


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips in containers of VP9: encoded for the set, and packets copied from recordings of two sizes."""
    folder = tmp_path_factory.mktemp("contained")
    return {"vp9": vp9_set(folder / "vp9"), "copy": copied_set(folder / "copy", [(32, 64), (48, 96)])}


@pytest.mark.parametrize("kind", ["vp9", "copy"])
def test_containers_and_pictures_of_several_sizes(contained: dict[str, Path], kind: str) -> None:
    """The chroma of a container is interpolated by DALI, and repeated by the CPU's loader, so that edges of colour differ."""
    spec = ClipSpec(3, (16, 32), (), yaw_classes=4)
    options = {"batch_size": 3, "epochs": 1, "threads": 2}
    ours, theirs = epoch(contained[kind], spec, late(), **options), expected(contained[kind], spec, **options)
    same(ours, theirs, levels=40)
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a["frames"] - b["frames"]).mean() < 0.1
    if kind == "vp9":
        same(ours, expected(contained[kind], spec, decoder="dali", **options), levels=0.3)


def test_sets_of_different_sizes_make_one_batch(shards: Path, mapped: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path / "recordings", recordings=1, seconds=8.0, seed=9, size=(48, 96))
    encode = EncodeOptions(size=(48, 96), fps=2.0)
    build(tmp_path / "recordings", tmp_path / "shards", BuildOptions(encode, split="train=1"), local(1))
    spec = ClipSpec(2, (16, 32), ("front",), sound_seconds=0.1, yaw_classes=4)
    options = {"batch_size": 4, "epochs": 1, "threads": 2, "split": "train"}
    sets = {"small": shards, "large": tmp_path / "shards"}
    same(epoch(sets, spec, late(), **options), expected(sets, spec, **options))


def test_what_cannot_be_decoded_is_replaced(tmp_path: Path) -> None:
    """Among pictures that are cut short, empty, foreign, and of another size than the set says."""
    damage = {11: lambda data: data[: len(data) // 2], 37: lambda data: b"", 3: lambda data: b"no picture at all" * 9}
    shards = tiny_set(tmp_path / "set", 60, pictures=damage | {52: lambda data: jpeg(0, (16, 16))})
    options = {"batch_size": 10, "epochs": 2, "threads": 2}
    found = []
    for health in (Health(tmp_path / "ours.jsonl"), Health(tmp_path / "theirs.jsonl")):
        if not found:
            device = late()
            with opened(shards, TINY, device, health=health, **options) as loader:
                found.append(taken(loader, device) + taken(loader, device))
        else:
            with ClipLoader(shards, TINY, health=health, **options) as loader:
                found.append([{name: value.numpy() for name, value in batch.items()} for _ in range(2) for batch in loader])
    same(*found)
    lines = [map(json.loads, path.read_text().splitlines()) for path in sorted(tmp_path.glob("*.jsonl"))]
    ours, theirs = ({(line["key"], line["extension"]) for line in each} for each in lines)
    assert ours == theirs and len(ours) == 4


def test_ranks_with_nothing_resume_and_batches_that_are_given_up(shards: Path) -> None:
    options = {"batch_size": 5, "epochs": 3, "threads": 2, "last_batch": "partial", "world_size": 3}
    for rank in range(3):
        same(epoch(shards, WHOLE, late(rank), rank=rank, **options), expected(shards, WHOLE, rank=rank, **options))
    device = late(5, 1)
    with opened(shards, WHOLE, device, rank=0, **options) as loader, ClipLoader(shards, WHOLE, rank=0, **options) as cpu:
        for number in (0, 2, 1, 0):  # what was begun for the epoch before is given up, again and again
            loader.epoch = cpu.epoch = number
            first, wanted = next(iter(loader)), next(iter(cpu))
            seen = device.take(first)
            loader.load_state_dict(loader.state_dict())
            del first
            device.finish()
            same([seen], [{name: value.numpy() for name, value in wanted.items()}])


def test_the_next_batch_is_decoded_while_this_one_is_waited_for(shards: Path, monkeypatch) -> None:
    order: list[str] = []
    begin, result = SafePipeline.begin, SafePipeline.result
    monkeypatch.setattr(SafePipeline, "begin", lambda self, *rest: (order.append("begin"), begin(self, *rest))[1])
    monkeypatch.setattr(SafePipeline, "result", lambda self, *rest: (order.append("result"), result(self, *rest))[1])
    device = late()
    with opened(shards, WHOLE, device, batch_size=2, epochs=1, threads=2, prefetch=1) as loader:
        count = 0
        for batch in loader:
            device.take(batch)
            time.sleep(0.05)  # a trainer that is slower than the reads
            count += 1
    under_way = np.cumsum([1 if what == "begin" else -1 for what in order])
    assert order.count("begin") == order.count("result") == count and under_way.max() == 2
    device.finish()


def test_memory_is_bounded_and_counted(shards: Path) -> None:
    device, sizes = late(0, 1), []
    with opened(shards, WHOLE, device, batch_size=2, epochs=20, threads=2) as loader:
        for _ in range(20):
            for batch in loader:
                device.take(batch)
            sizes.append(loader.report()["buffer_bytes"])
            assert len(loader._engine._batcher._retired) <= 2
        device.finish()
    # how much is out at the same time is a matter of moments; a batch that is never given back is 300 kB
    assert sizes[-1] <= 1.5 * max(sizes[:5]) and device.host.bytes == 0


SIMULATED = """
import sys
import time
from pathlib import Path
import numpy as np
import tests.dataio.stream.kernels.simulator
from dataio import ClipSpec
from tests.dataio.stream.device.late import Late
from tests.dataio.stream.device.test_late import epoch, expected
cases = {
    "tiny": ClipSpec(frames=2, size=(4, 8), sound="complex", sound_rate=8000, sound_seconds=0.04, yaw_classes=4, dtype="float32"),
    "mapped": ClipSpec(1, (4, 8), (), flow=True, mask=True, yaw_classes=4, augment=("mirror",)),
    "tilted": ClipSpec(1, (4, 8), (), flow=True, mask=True, yaw_classes=4, tilt=20.0),
}
options = {"batch_size": 2, "epochs": 1, "threads": 1, "shuffle": False, "world_size": 4, "rank": 1}
for case, spec in cases.items():
    shards = Path(sys.argv[1 + (case != "tiny")])
    (a,) = epoch(shards, spec, Late(3, 2, None), **options)
    (b,) = expected(shards, ClipSpec(**spec.__dict__ | {"dtype": None}), **options)
    assert set(a) == set(b)
    for name in a:
        tolerance = {"frames": 0.03, "sound": 2e-5 * np.abs(b.get("sound", 1)).max(), "flow": 1e-5}.get(name, 0)
        assert np.all(np.abs(a[name].astype(float) - b[name]) <= tolerance), (case, name)
print("agreed")
"""


def test_with_the_kernels_themselves_in_the_simulator(mapped: Path, tmp_path: Path) -> None:
    """Their shapes, dtypes and order of arguments: what stands in for them elsewhere is called as they are."""
    command = [sys.executable, "-c", SIMULATED, str(tiny_set(tmp_path / "set", 8)), str(mapped)]
    done = subprocess.run(command, env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True)
    assert done.stdout.strip() == "agreed", done.stderr[-3000:]
