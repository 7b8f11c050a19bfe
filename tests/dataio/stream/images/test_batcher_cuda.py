"""What the GPU's batches are made of, as far as a machine without one can run it; and on a device, the batches themselves."""

import json

import numpy as np
import pytest
import torch

from dataio.stream.batch import Job
from dataio.stream.health import Health
from dataio.stream.images import batcher_cuda
from dataio.stream.images.batcher import ViewBatcher
from dataio.stream.images.batcher_cuda import CudaViewBatcher, Decoding
from dataio.stream.images.draws import choose
from dataio.stream.images.graph import ViewGraph
from dataio.stream.images.spec import ViewSpec
from dataio.stream.order.steps import Step
from dataio.stream.supply import Supply
from tests.dataio.stream.images.stills import SPEC, damaged, make_stills, supplied


@pytest.fixture(scope="module")
def stills(tmp_path_factory):
    return make_stills(tmp_path_factory.mktemp("stills"))


def decoding(supply: Supply) -> Decoding:
    graph = ViewGraph(SPEC, "cpu", batch=24, threads=2)
    return Decoding(
        supply, graph, lambda picks: choose(SPEC, 3, np.array([p.epoch for p in picks]), np.array([p.clip for p in picks]))
    )


def read(supply: Supply, count: int = 24) -> Job:
    """A job whose bytes are there."""
    job = Job(Step(0, 0, count, np.arange(count)), supply.picks(0, np.arange(count)))
    for i, pick in enumerate(job.picks):
        job.kept[i] = supply.read(pick)
        job.done(i, job.kept[i].facts)
    return job


def cut(data: bytearray) -> bytes:
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def test_what_dali_cannot_decode_is_replaced_before_it_joins_a_batch(stills, tmp_path):
    folder, bad = damaged(stills, tmp_path, [2, 3, 17], cut), {2, 3, 17}
    health = Health(tmp_path / "q.jsonl", rate=0.5)
    with supplied(folder, health=health) as supply:
        job, run = read(supply), decoding(supply)
        draws, decoded = run.run(job)
        pictures = np.array(decoded.as_tensor())
        run.graph.release()
        order = [pick.clip for pick in supply.picks(0, np.arange(24))] + [pick.clip for pick in supply.picks(1, np.arange(24))]
        clips = [facts.pick.clip for facts in job.made]
        assert clips == [next(c for c in order[i:] if c not in bad) for i in range(24)]
        assert run.graph.rebuilt == 0 and pictures.shape == (24, 2, 32, 32, 3) and draws.grey.shape == (24, 2)
        alone = decoding(supply)  # the same pictures in a batch without any broken one
        _, again = alone.run(job)
        assert np.array_equal(np.array(again.as_tensor()), pictures)
    assert len(health.quarantine.read_text().splitlines()) == 3
    assert {json.loads(line)["extension"] for line in health.quarantine.read_text().splitlines()} == {"jpg"}


def test_a_batch_that_fails_is_built_anew_without_its_culprits(stills, tmp_path, monkeypatch):
    """As when a picture looks well and is not. Two threads, and a single broken picture: DALI survives that long."""
    monkeypatch.setattr(batcher_cuda, "suspicious_jpeg", lambda data: False)
    folder = damaged(
        stills, tmp_path, [5], lambda data: b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x20\x00\x20\x03" + bytes(len(data) - 12)
    )
    with supplied(folder) as supply:
        job, run = read(supply), decoding(supply)
        _, decoded = run.run(job)
        assert len(decoded) == 24 and run.graph.rebuilt == 1
        assert 5 not in [facts.pick.clip for facts in job.made]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", None])
def test_gpu_views_are_the_cpus(stills, dtype):
    """Two grey levels on 99.8 % of pixels (DALI mixes the outermost otherwise), same pictures in the same order."""
    spec = ViewSpec(size=64, dtype=dtype)
    with supplied(stills, spec=ViewSpec(size=64)) as supply:
        picks, step = supply.picks(0, np.arange(24)), Step(0, 0, 24, np.arange(24))
        sizes = {"seed": 3, "workers": 2, "readers": 0, "meter": supply.meter}
        cpu = ViewBatcher(supply, ViewSpec(size=64), **sizes)
        gpu = CudaViewBatcher(supply, spec, **sizes, batch_size=24, device="cuda")
        a, b = (maker.finish(maker.start(step, picks), lambda: None) for maker in (cpu, gpu))
        cpu.close()
        gpu.close()
    assert torch.equal(a["clip"], b["clip"].cpu()) and torch.equal(a["label"], b["label"].cpu())
    for name in spec.names:
        assert b[name].dtype == (torch.float32 if dtype else torch.float16)
        levels = (a[name] - b[name].cpu().float()).abs() * 255 * torch.tensor(spec.std).view(3, 1, 1)
        assert (levels <= 2.5).float().mean() >= 0.998
