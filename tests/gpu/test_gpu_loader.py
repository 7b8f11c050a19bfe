"""Batches on the GPU against those on the CPU: every field, in every way of reading. Imports only what an offline GPU host has.

With REHEARSE=cpu in the environment the device is the CPU, so that a mistake in the tests themselves shows without a GPU.
"""

import gc
import json
import os
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import material
from benchmarks.gpu.equality import difference, equal
from dataio import ClipLoader, ClipSpec
from dataio.format.clip import PAIRS
from dataio.stream.health import Health
from dataio.stream.images.loader import ImageLoader
from dataio.stream.images.spec import ViewSpec, evaluation
from dataio.stream.kernels.rotate import STD

DEVICE = os.environ.get("REHEARSE", "cuda")
pytestmark = pytest.mark.gpu if DEVICE == "cuda" else []
device_only = pytest.mark.skipif(DEVICE != "cuda", reason="what it asks is of a device")

EVERY = ClipSpec(frames=4, size=(32, 64), pairs=PAIRS, sound_rate=material.MAPS_RATE, sound_seconds=0.25, dtype="float32")
READ = find_spec("cv2") is not None
"""Whether flow can be read: hosts of the check lack OpenCV, and the kernel that turns flow has its own test."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material.whole(tmp_path_factory.mktemp("whole"))


def batches(shards: Path, spec: ClipSpec, device: str, *, epochs: int = 1, **options) -> list[dict[str, torch.Tensor]]:
    with ClipLoader(shards, spec, batch_size=5, device=device, epochs=epochs, last_batch="partial", **options) as loader:
        return [batch for _ in range(epochs) for batch in loader]


def alike(shards: Path, spec: ClipSpec, **options) -> None:
    """The same clips in the same order, and every field as near as decoders and float32 allow; the last batch is a smaller one."""
    wanted, given = (batches(shards, spec, device, epochs=2, **options) for device in ("cpu", DEVICE))
    assert len(wanted) == len(given) and len(wanted[-1]["clip"]) < 5
    for a, b in zip(wanted, given, strict=True):
        assert {value.device.type for value in b.values()} == {DEVICE}
        assert {name: (value.dtype, value.shape) for name, value in a.items()} == {
            name: (value.dtype, value.shape) for name, value in b.items()
        }
        found = difference(a, b)
        assert equal(found), found


@pytest.mark.parametrize("kind", ["log", "magnitude", "complex", "ipd"])
@pytest.mark.parametrize("partner", [False, True])
def test_every_kind_of_sound(clips, kind, partner):
    spec = replace(EVERY, frames=0, sound=kind, partner=partner, reach=60.0, augment=("turn", "mirror"))
    if kind != "ipd":
        return alike(clips, spec)
    for a, b in zip(batches(clips, spec, "cpu"), batches(clips, spec, DEVICE), strict=True):  # the phase of nearly nothing is noise
        assert torch.equal(a["clip"], b["clip"].cpu())
        assert ((a["sound"] - b["sound"].cpu()).abs() < 1e-3).float().mean() > 0.99
    return None


@pytest.mark.parametrize("augment", [(), ("turn",), ("mirror",), ("turn", "mirror")])
@pytest.mark.parametrize("size", [(32, 64), (24, 48)])
def test_frames_and_maps_turn_together(clips, augment, size):
    alike(clips, replace(EVERY, size=size, yaw_classes=4, augment=augment, mask=True, labels=True, flow=READ, sound="magnitude"))


def test_fewer_frames_and_maps_alone(clips):
    alike(clips, replace(EVERY, frames=2, pairs=()))
    alike(clips, replace(EVERY, frames=0, pairs=(), mask=True, labels=True, yaw_classes=8))


def test_tilted(clips):
    alike(clips, replace(EVERY, tilt=20.0, pairs=(), yaw_classes=4, labels=True))


@pytest.mark.parametrize("name", ["h264-8", "hevc-8", "vp9-8", "av1-8"])
def test_containers(tmp_path, name):
    shards, _, _ = material.formats(tmp_path, name, small=True)
    spec = ClipSpec(frames=8, size=(64, 128), pairs=(), yaw_classes=4, dtype="float32")
    with (
        ClipLoader(shards, spec, batch_size=4, epochs=1) as cpu,
        ClipLoader(shards, spec, batch_size=4, epochs=1, device=DEVICE) as gpu,
    ):
        (a,), (b,) = list(cpu), list(gpu)
    assert torch.equal(a["clip"], b["clip"].cpu())
    grey = (a["frames"] - b["frames"].cpu()).abs() * 255 * torch.tensor(STD).view(3, 1, 1, 1)
    # the codecs themselves are exact; what differs is how chroma is enlarged, which shows at coloured edges
    assert grey.mean() <= 1.0 and (grey <= 8).float().mean() >= 0.99, (float(grey.mean()), float((grey <= 8).float().mean()))


@device_only
def test_half_precision_is_the_default(clips):
    spec = replace(EVERY, dtype=None)
    for a, b in zip(batches(clips, spec, "cpu"), batches(clips, spec, DEVICE), strict=True):
        assert b["frames"].dtype == torch.float16
        assert equal(difference({"frames": a["frames"]}, {"frames": b["frames"]}))


def test_a_damaged_clip_is_replaced_by_the_same_one(tmp_path):
    shards = material.whole(tmp_path / "damaged", damaged=(2, 7))
    found = []
    for device, name in (("cpu", "wanted"), (DEVICE, "given")):
        file = tmp_path / f"{name}.jsonl"
        health = Health(file, rate=1.0)
        found.append(batches(shards, EVERY, device, health=health))
        named = {json.loads(line)["key"] for line in file.read_text().splitlines()}
        assert len(named) == 2
        found.append(named)
    assert found[1] == found[3]
    for a, b in zip(found[0], found[2], strict=True):
        assert equal(difference(a, b))


def test_two_loaders_at_once(clips):
    """Each has streams and memory of its own."""
    alone = [batches(clips, EVERY, DEVICE, seed=seed) for seed in (0, 1)]
    with (
        ClipLoader(clips, EVERY, batch_size=5, device=DEVICE, epochs=1, last_batch="partial") as one,
        ClipLoader(clips, EVERY, batch_size=5, device=DEVICE, epochs=1, last_batch="partial", seed=1) as other,
    ):
        for a, b, *wanted in zip(one, other, *alone, strict=True):
            for batch, same in zip((a, b), wanted, strict=True):
                assert all(torch.equal(batch[name], same[name]) for name in same)


def test_a_batch_stays_as_it_is_while_others_come(clips):
    with ClipLoader(clips, EVERY, batch_size=4, device=DEVICE) as loader:
        for kept in loader:
            break
        copies = {name: value.clone() for name, value in kept.items()}
        for _ in range(8):
            for batch in loader:
                del batch
        assert all(torch.equal(kept[name], copies[name]) for name in copies)
    assert all(torch.equal(kept[name], copies[name]) for name in copies)  # and when the loader is closed


@device_only
def test_on_another_stream_and_device_work_in_between(clips):
    """What a user does with a batch on a stream of their own sees the whole of it, however busy the device is."""
    wanted = batches(clips, EVERY, "cpu")
    mine = torch.cuda.Stream()
    busy = torch.zeros(1 << 24, device="cuda")
    sums = []
    with torch.cuda.stream(mine), ClipLoader(clips, EVERY, batch_size=5, device=DEVICE, epochs=1, last_batch="partial") as loader:
        for batch in loader:
            for _ in range(20):
                busy.add_(1)
            sums.append({name: batch[name].double().sum() for name in ("frames", "sound")})
            del batch  # its memory may be given to the next one, but not before `mine` is done with it
    mine.synchronize()
    for a, b in zip(wanted, sums, strict=True):
        for name, total in b.items():
            assert total.item() == pytest.approx(a[name].double().sum().item(), rel=2e-3, abs=50)


def test_resume_goes_on_where_it_was(clips):
    whole = batches(clips, EVERY, DEVICE, epochs=2)
    with ClipLoader(clips, EVERY, batch_size=5, device=DEVICE, last_batch="partial") as loader:
        for _ in loader:
            break
        saved = json.loads(json.dumps(loader.state_dict()))
    with ClipLoader(clips, EVERY, batch_size=5, device=DEVICE, last_batch="partial", epochs=2) as loader:
        loader.load_state_dict(saved)
        rest = [*loader, *loader]
    for a, b in zip(whole[1:], rest, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


@device_only
def test_closing_gives_everything_back(clips):
    def once() -> None:
        with ClipLoader(clips, EVERY, batch_size=4, device=DEVICE) as loader:
            for _ in loader:
                break

    once()
    gc.collect()
    torch.cuda.synchronize()
    threads, allocated = threading.active_count(), torch.cuda.memory_allocated()
    free = torch.cuda.mem_get_info()[0]
    for _ in range(4):
        once()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    assert threading.active_count() <= threads
    assert torch.cuda.memory_allocated() <= allocated
    assert torch.cuda.mem_get_info()[0] >= free - 64 * 2**20  # DALI keeps pools, but does not make new ones every time


@pytest.mark.parametrize("spec", [ViewSpec(size=32), evaluation(32, 40)], ids=["two crops", "evaluation"])
def test_views_are_the_cpus(tmp_path, spec):
    shards = material.photos(tmp_path, small=True)
    spec = replace(spec, dtype="float32")
    with (
        ImageLoader(shards, spec, batch_size=3, epochs=1, last_batch="partial", health=Health(None)) as cpu,
        ImageLoader(shards, spec, batch_size=3, epochs=1, last_batch="partial", health=Health(None), device=DEVICE) as gpu,
    ):
        for a, b in zip(cpu, gpu, strict=True):
            assert torch.equal(a["clip"], b["clip"].cpu()) and torch.equal(a["label"], b["label"].cpu())
            for name in spec.names:
                grey = (a[name] - b[name].cpu()).abs() * 255 * torch.tensor(STD).view(3, 1, 1)
                # decoders differ by a level or two, and contrast, up to 1.4, three times in a row, makes that more
                assert grey.mean() <= 1.5 and (grey <= 8).float().mean() >= 0.99
