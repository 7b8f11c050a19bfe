"""Views as a GPU makes them, on a device that is late: those of the CPU, in whatever order; and on a device, the batches
themselves.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nvidia.dali")

from dataio.stream.health import Health
from dataio.stream.images import graph
from dataio.stream.images.batcher import ViewBatcher
from dataio.stream.images.batcher_cuda import CudaViewBatcher
from dataio.stream.images.spec import ViewSpec, evaluation
from dataio.stream.order.steps import Step
from dataio.stream.supply import Supply
from tests.dataio.stream.device.late import Late
from tests.dataio.stream.images.stills import SPEC, damaged, make_stills, supplied

Batches = list[dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return make_stills(tmp_path_factory.mktemp("stills"))


def cpu_views() -> dict[Any, Any]:
    """The CPU's kernels in place of the GPU's."""
    from dataio.stream.images import views_cuda
    from dataio.stream.images.blur import blur
    from dataio.stream.images.colour import colour

    def coloured(pictures, v, order, factors, grey, flip, scaling, slot, levels, out):
        assert set(order.ravel()) <= {0, 1, 2, 3} and np.isfinite(factors).all() and slot.max() < len(levels), "read too late"
        for b in range(len(pictures)):
            one = np.empty(out.shape[1:], np.float32)
            picture = np.ascontiguousarray(pictures[b, v])
            colour(picture, order[b], factors[b], bool(grey[b]), bool(flip[b]), *scaling, one)
            if slot[b] >= 0:
                levels[slot[b]] = one
            else:
                out[b] = one

    def blurred(levels, where, weights, radius, between, out):
        assert where.min() >= 0 and where.max() < len(out) and radius.min() > 0 and np.isfinite(weights).all(), "read too late"
        for m, b in enumerate(where):
            one = levels[m].copy()
            blur(one, np.ascontiguousarray(weights[m, : radius[m] + 1]), between[m, 0])
            out[b] = one

    return {views_cuda.colour: coloured, views_cuda.blur: blurred}


@contextmanager
def batcher(supply: Supply, spec: ViewSpec, device: Any, batch: int) -> Iterator[CudaViewBatcher]:
    sizes = {"seed": 3, "workers": 2, "readers": 2, "meter": supply.meter}
    made = CudaViewBatcher(supply, spec, **sizes, batch_size=batch, device=device)
    try:
        yield made
    finally:
        made.close()


def batches(maker: ViewBatcher, supply: Supply, count: int, size: int) -> Iterator[dict[str, torch.Tensor]]:
    """With two under way, as the producer has them."""
    jobs = []
    for at in range(0, count, size):
        positions = np.arange(at, at + size)
        jobs.append(maker.start(Step(0, at, at + size, positions), supply.picks(0, positions)))
        if len(jobs) == 2:
            yield maker.hand_over(maker.finish(jobs.pop(0), lambda: None))
    for job in jobs:
        yield maker.hand_over(maker.finish(job, lambda: None))


def late(folder: Path, spec: ViewSpec, seed: int, eagerness: int, health: Health = Health(None)) -> Batches:
    device = Late(seed, eagerness, cpu_views())
    with supplied(folder, spec=spec, health=health) as supply, batcher(supply, spec, device, 6) as maker:
        found = []
        for batch in batches(maker, supply, 24, 6):
            found.append(device.take(batch))
            del batch
        device.finish()
    return found


def cpu(folder: Path, spec: ViewSpec, health: Health = Health(None)) -> Batches:
    with supplied(folder, spec=spec, health=health) as supply:
        maker = ViewBatcher(supply, spec, seed=3, workers=2, readers=0, meter=supply.meter)
        found = [{name: value.numpy().copy() for name, value in batch.items()} for batch in batches(maker, supply, 24, 6)]
        maker.close()
    return found


def same(ours: Batches, theirs: Batches, spec: ViewSpec) -> None:
    """DALI mixes the outermost pixels otherwise, and jitter makes more of it."""
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert set(a) == set(b) and np.array_equal(a["clip"], b["clip"]) and np.array_equal(a["label"], b["label"])
        for name in spec.names:
            levels = np.abs(a[name].astype(np.float32) - b[name]) * 255 * np.array(spec.std).reshape(3, 1, 1)
            assert a[name].dtype == np.float16 and np.count_nonzero(~(levels <= 3)) <= 0.01 * levels.size  # a NaN counts


@pytest.mark.parametrize(
    "spec", [ViewSpec(size=48), ViewSpec(size=48, blur_p=0.0), evaluation(48, 56)], ids=["views", "sharp", "middle"]
)
@pytest.mark.parametrize("eagerness", [0, 3])
def test_views_in_any_order_are_the_cpus(stills, spec, eagerness):
    same(late(stills, spec, 5, eagerness), cpu(stills, spec), spec)


def _never_waits(self, keep):
    while self._batches:
        self._batches.popleft().done()


def test_memory_given_back_too_early_shows(stills, monkeypatch):
    spec = ViewSpec(size=48)
    monkeypatch.setattr("dataio.stream.device.retired.Retired.sweep", _never_waits)
    with pytest.raises((AssertionError, ValueError, IndexError)):
        same(late(stills, spec, 5, 1), cpu(stills, spec), spec)


def cut(data: bytearray) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def test_what_dali_cannot_decode_is_replaced_before_it_joins_a_batch(stills, tmp_path):
    folder, bad = damaged(stills, tmp_path, [2, 3, 17], cut), {2, 3, 17}
    health = Health(tmp_path / "q.jsonl", rate=0.5)
    ours = late(folder, SPEC, 1, 2, health)
    same(ours, cpu(folder, SPEC, Health(None, rate=0.5)), SPEC)
    assert not bad & {clip for batch in ours for clip in batch["clip"].tolist()}
    lines = [json.loads(line) for line in health.quarantine.read_text().splitlines()]
    assert len(lines) == 3 and {line["extension"] for line in lines} == {"jpg"}


def test_a_batch_that_fails_is_built_anew_without_its_culprits(stills, tmp_path, monkeypatch):
    """As when a picture looks well and is not. Two threads, and a single broken picture: DALI survives that long."""
    monkeypatch.setattr(graph, "suspicious_jpeg", lambda data: False)
    head = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x20\x00\x20\x03"
    folder = damaged(stills, tmp_path, [5], lambda data: head + bytes(len(data) - 12))
    device = Late(0, 2, cpu_views())
    with supplied(folder) as supply, batcher(supply, SPEC, device, 24) as maker:
        (batch,) = [device.take(batch) for batch in batches(maker, supply, 24, 24)]
        device.finish()
        assert sum(lane.rebuilt for lane in maker._pipelines) == 1 and len(batch["clip"]) == 24
        assert 5 not in batch["clip"].tolist() and np.isfinite(batch["view0"]).all()


class NoMemory:
    """A pipeline on a device that is full."""

    def feed_input(self, *_: Any) -> None:
        raise RuntimeError("out of memory")

    def share_outputs(self) -> None:
        raise RuntimeError("out of memory")

    def release_outputs(self) -> None:
        pass


def test_a_broken_device_is_no_fault_of_the_pictures(stills, monkeypatch):
    """Not even what was decoded before can be: the error is raised, and no picture is called corrupt."""
    with supplied(stills) as supply, batcher(supply, SPEC, Late(0, 2, cpu_views()), 6) as maker:
        made = batches(maker, supply, 24, 6)
        next(made)
        for lane in maker._pipelines:
            lane._good = lane._good or maker._pipelines[0]._good
            monkeypatch.setattr(lane, "_build", lambda batch: NoMemory())
            lane._pipe, lane._probe = NoMemory(), None
        with pytest.raises(RuntimeError, match="out of memory"):
            list(made)
        assert supply.ward.report()["clips"] == 0


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", None])
def test_gpu_views_are_the_cpus(stills, dtype):
    """Two grey levels on 99.8 % of pixels (DALI mixes the outermost otherwise), same pictures in the same order."""
    from dataio.stream.device.cuda import Cuda

    spec = ViewSpec(size=64, dtype=dtype)
    with supplied(stills, spec=ViewSpec(size=64)) as supply, batcher(supply, spec, Cuda("cuda:0"), 24) as gpu:
        maker = ViewBatcher(supply, ViewSpec(size=64), seed=3, workers=2, readers=0, meter=supply.meter)
        (a,), (b,) = batches(maker, supply, 24, 24), batches(gpu, supply, 24, 24)
        maker.close()
        assert torch.equal(a["clip"], b["clip"].cpu()) and torch.equal(a["label"], b["label"].cpu())
        for name in spec.names:
            assert b[name].dtype == (torch.float32 if dtype else torch.float16)
            levels = (a[name] - b[name].cpu().float()).abs() * 255 * torch.tensor(spec.std).view(3, 1, 1)
            assert (levels <= 2.5).float().mean() >= 0.998
