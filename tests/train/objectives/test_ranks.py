"""Two processes have the loss, and the gradients with respect to the features, of one with the joint batch; from features on,
because batch norm sees the batch of its own process.
"""

import math
import os
import socket
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.alignment import correlate
from models.sound import pool_over_time
from train.downstream.retrieval import VideoRetrieval
from train.methods.contrastive import Contrastive
from train.methods.euclidean import Euclidean
from train.methods.incremental import Keeping
from train.objectives.aligned import aligned_loss
from train.objectives.gap import TemporalGap

ROWS = 4
CLIP = torch.tensor([7, 8, 9, 10, 7, 11, 12, 13])  # one clip is in the batch of both
PARTNER = torch.tensor([8, 8, 20, 21, 9, 22, 12, 23])  # of the other process's too; two clips are their own


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(2 * ROWS, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Retrieval(VideoRetrieval):
    """From given features on."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.temperature = 0.1

    def embed(self, batch):
        return batch["sounds"], batch["videos"]


class Gap(TemporalGap):
    """Its features are given; the head is a sum."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.huber, self.signed = 0.5, True
        self.encoder = nn.Identity()
        self.head = lambda both: both.sum(1, keepdim=True)


class Moved(Keeping):
    """How far given features are from what they were."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.encoder, self.old = nn.Identity(), lambda features: features.detach().roll(1, -1)


def contrastive(student, teacher):
    objective = Contrastive.__new__(Contrastive)
    nn.Module.__init__(objective)
    objective.temperature = 0.1
    return objective.distance(student, teacher)


def aligned(a, b, c, rows, time):
    a, b, c = (F.normalize(x, dim=1) for x in (a, b, c))
    return aligned_loss(a, b, CLIP[rows], 0.1, (c, PARTNER[rows]) if time else None)[0]


VECTORS, MAPS = ((5,), (5,), (5,)), ((3, 2, 6), (3, 2, 6))
LOSSES: dict[str, tuple[tuple[tuple[int, ...], ...], Callable]] = {
    "B": (VECTORS, lambda rows, a, b, c: aligned(a, b, c, rows, False)),
    "B with other times": (VECTORS, lambda rows, a, b, c: aligned(a, b, c, rows, True)),
    "VR": (VECTORS, lambda rows, a, b, c: Retrieval()({"sounds": a, "videos": b, "clip": CLIP[rows]})[0]),
    "A": (((3, 8), (3, 8)), lambda rows, a, b: F.cross_entropy(correlate(a, b, 4), CLIP[rows] % 4)),
    "C": (
        MAPS,
        lambda rows, a, b: Gap()({"sound": a, "partner_sound": b, "gap": draw(9)[rows]})[0],
    ),
    "contrastive": (MAPS, lambda rows, a, b: contrastive(a, b.detach())),
    "euclidean": (MAPS, lambda rows, a, b: Euclidean.distance(None, a, b.detach())),
    "incremental": (MAPS, lambda rows, a, b: Moved().moved(a)),
}


def losses(rows: slice) -> dict[str, tuple[torch.Tensor, list[torch.Tensor | None]]]:
    """Of each its value, and its gradients with respect to these rows of the features."""
    found = {}
    for name, (shapes, loss) in LOSSES.items():
        features = [draw(seed, *shape)[rows].clone().requires_grad_() for seed, shape in enumerate(shapes)]
        value = loss(rows, *features)
        value.backward()
        found[name] = (value.detach(), [f.grad for f in features])
    return found


def _process(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    torch.save(losses(slice(ROWS * rank, ROWS * (rank + 1))), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_process, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)], losses(slice(None))


@pytest.mark.parametrize("name", list(LOSSES))
def test_two_processes_are_one_with_the_joint_batch(both, name):
    parts, whole = both
    value, gradients = whole[name]
    assert value.dtype == torch.float64
    assert sum(part[name][0] for part in parts).item() / 2 == pytest.approx(value.item(), abs=1e-9)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    for i, gradient in enumerate(gradients):
        pieces = [part[name][1][i] for part in parts]
        if gradient is None:
            assert pieces == [None, None]
        else:  # DistributedDataParallel takes the mean of the processes' gradients
            assert torch.allclose(torch.cat(pieces) / 2, gradient, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ("euclidean", "incremental")])
def test_gradients_are_those_of_finite_differences(name):
    """The spread of the others is a constant, though it is made of features: see tests/train/methods."""
    shapes, loss = LOSSES[name]
    features = [draw(seed, *shape)[:ROWS].clone() for seed, shape in enumerate(shapes)]
    learned = 1 if name == "contrastive" else len(features)  # a teacher's features are given
    checked = tuple(f.requires_grad_() for f in features[:learned])
    assert torch.autograd.gradcheck(lambda *some: loss(slice(0, ROWS), *some, *features[learned:]), checked)


def test_the_contrastive_distance_is_equation_2_by_loops():
    student, teacher = draw(0, 3, 2, 6), draw(1, 3, 2, 6)
    a, t = (F.normalize(pool_over_time(x), dim=1).tolist() for x in (student, teacher))
    total = 0.0
    for i, anchor in enumerate(a):
        terms = [math.exp(math.fsum(x * y for x, y in zip(anchor, other, strict=True)) / 0.1) for other in t]
        total -= math.log(terms[i] / math.fsum(terms))
    assert contrastive(student, teacher).item() == pytest.approx(total / len(a), abs=1e-9)
