"""The losses of the four tasks against references written from the equations, and by hand; several processes against one."""

import math
import os
import socket
from pathlib import Path

import pytest
import torch
from lightly.loss import NTXentLoss
from torch.nn import functional as F

from train.objectives.base import unturned
from train.objectives.contrast import info_nce
from train.objectives.foreground import ForegroundAlignment
from train.objectives.gap import TemporalGap
from train.objectives.gather import first_row, gathered
from train.objectives.motion import MotionAlignment
from train.recipe import Data, Model, Objective, Optim, Recipe


def recipe(**task) -> Recipe:
    model = Model(sound_width=2, sound_pool_time=4, video_width=2, azimuths=8, embedding=6)
    data = Data(pairs=["front"], size=(32, 64), sound_rate=16_000, sound_seconds=1.0)
    return Recipe(model=model, data=data, objective=Objective(**task), optim=Optim(epochs=1))


def sphere(*shape: int, seed: int = 0) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(values, dim=1)


def by_loops(anchors, candidates, positive, temperature, leave_out=None) -> float:
    """Equation 2, term by term."""
    total = 0.0
    for i, a in enumerate(anchors.tolist()):
        p = int(positive[i])
        terms = []
        for j, v in enumerate(candidates.tolist()):
            if j == p or leave_out is None or not leave_out[i, j]:
                terms.append(math.exp(math.fsum(x * y for x, y in zip(a, v, strict=True)) / temperature))
            if j == p:
                own = terms[-1]
        total -= math.log(own / math.fsum(terms))
    return total / len(anchors)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_info_nce_is_equation_2(temperature: float):
    anchors, candidates = sphere(5, 4), sphere(9, 4, seed=1)
    positive = torch.tensor([3, 0, 8, 2, 5])
    left = torch.rand(5, 9, generator=torch.Generator().manual_seed(2)) < 0.3
    left[0, 3] = True  # the positive itself is never left out
    for leave_out in (None, left):
        found = info_nce(anchors, candidates, positive, temperature, leave_out=leave_out)
        assert found.item() == pytest.approx(by_loops(anchors, candidates, positive, temperature, leave_out), abs=1e-10)


def test_info_nce_is_lightlys_with_the_negatives_in_its_memory():
    anchors, candidates = sphere(4, 6).float(), sphere(12, 6, seed=1).float()
    theirs = NTXentLoss(temperature=0.1, memory_bank_size=(8, 6))
    theirs.memory_bank.bank = candidates[4:].clone()
    for i in range(4):  # theirs has one set of negatives for all anchors
        one = torch.cat([candidates[i : i + 1], candidates[4:]])
        mine = info_nce(anchors[i : i + 1], one, torch.tensor([0]), 0.1)
        assert mine.item() == pytest.approx(theirs(anchors[i : i + 1], candidates[i : i + 1]).item(), abs=1e-6)


def test_info_nce_by_hand():
    same = torch.ones(3, 2, dtype=torch.float64) / 2**0.5
    assert info_nce(same, same, torch.arange(3), 0.1).item() == pytest.approx(math.log(3))  # nothing tells them apart
    apart = torch.eye(3, dtype=torch.float64)
    assert info_nce(apart, apart, torch.arange(3), 0.01).item() < 1e-9
    wrong = info_nce(apart, apart.roll(1, 0), torch.arange(3), 0.5)  # own similarity 0, one other 1, one 0
    assert wrong.item() == pytest.approx(math.log(2 + math.exp(2)))


def test_gradients_are_those_of_finite_differences():
    anchors, candidates = sphere(3, 4).requires_grad_(), sphere(5, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, c: info_nce(a, c, torch.tensor([1, 0, 4]), 0.3), (anchors, candidates))
    predicted = torch.tensor([0.2, 1.9, -3.0], dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: F.huber_loss(p, torch.zeros(3, dtype=torch.float64), delta=1.5), (predicted,))


class Told(TemporalGap):
    """Predicts what it is told."""

    def __init__(self, recipe: Recipe, answers: torch.Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.huber, self.signed = recipe.objective.huber, recipe.objective.signed
        self.encoder = lambda sound: sound.new_zeros(len(sound), 1, 1, 1)
        self.head = lambda features: answers[:, None]


def test_huber_by_hand_on_both_sides_of_its_corner():
    answers = torch.tensor([0.5, 1.5, 3.5, -2.0])
    batch = {"sound": torch.zeros(4, 1), "partner_sound": torch.zeros(4, 1), "gap": torch.tensor([0.5, 0.0, -0.5, 1.0])}
    by_hand = [0.0, 1.5**2 / 2, 1.5 * 3.0 - 1.5**2 / 2, 1.5 * 3.0 - 1.5**2 / 2]  # gaps by size: 0.5, 0, 0.5, 1
    loss, metrics = Told(recipe(), answers)(batch)
    assert loss.item() == pytest.approx(sum(by_hand) / 4)
    assert metrics["error"].item() == pytest.approx((0 + 1.5 + 3 + 3) / 4)
    signed = [0.0, 1.5**2 / 2, 1.5 * 4.0 - 1.5**2 / 2, 1.5 * 3.0 - 1.5**2 / 2]
    assert Told(recipe(signed=True), answers)(batch)[0].item() == pytest.approx(sum(signed) / 4)


def aligned_batch(count: int = 4) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    return {
        "sound": torch.randn(count, 2, 257, 101, generator=draw) * 3 - 5,
        "partner_sound": torch.randn(count, 2, 257, 101, generator=draw) * 3 - 5,
        "frames": torch.randn(count, 3, 2, 32, 64, generator=draw),
        "mask": (torch.rand(count, 1, 32, 64, generator=draw) < 0.3).to(torch.uint8) * 255,
        "flow": torch.randn(count, 2, 32, 64, generator=draw),
        "clip": torch.arange(count),
        "partner": torch.arange(count) + 100,
    }


@pytest.mark.parametrize("kind", [ForegroundAlignment, MotionAlignment])
@pytest.mark.parametrize("negatives", [("batch",), ("batch", "time")])
def test_alignment_is_equation_2_both_ways_with_other_times(kind, negatives):
    objective = kind.from_recipe(recipe(negatives=negatives)).eval()
    batch = aligned_batch()
    batch["partner"][1] = 2  # the other time of clip 1 is clip 2: no negative to picture 2
    loss, metrics = objective(batch)
    with torch.no_grad():
        from models.sound import pool_over_time
        from models.video import azimuth_bins

        pictures = objective.of_picture(azimuth_bins(objective.picture(objective.seen(batch)), 8).flatten(1))
        sounds, others = (objective.of_sound(pool_over_time(objective.encoder(batch[n]))) for n in ("sound", "partner_sound"))
    own = torch.arange(4)
    expected = by_loops(sounds, pictures, own, 0.1)
    if "time" in negatives:
        left = torch.zeros(4, 8, dtype=torch.bool)
        left[2, 4 + 1] = True
        expected = (expected + by_loops(pictures, torch.cat([sounds, others]), own, 0.1, left)) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    right = (sounds @ pictures.T).argmax(1) == own
    assert metrics["accuracy"].item() == pytest.approx(right.float().mean().item())


def test_a_clip_that_is_its_own_partner_has_no_negative_in_itself():
    objective, batch = MotionAlignment.from_recipe(recipe()).eval(), aligned_batch(1)
    batch["partner"] = batch["clip"].clone()
    assert objective(batch)[0].item() == pytest.approx(0, abs=1e-6)


def test_unturned_undoes_the_loaders_turn():
    picture = torch.arange(2.0 * 3 * 4 * 8).view(2, 3, 4, 8)
    yaw = torch.tensor([1, 3])
    turned = torch.stack([p.roll(-int(k) * 2, -1) for p, k in zip(picture, yaw, strict=True)])  # x shows x + W·k/K
    assert torch.equal(unturned(turned, {"yaw": yaw}, 4), picture)
    assert unturned(picture, {}, 4) is picture


def _ranks(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.distributed.init_process_group("gloo")
    torch.save(_loss(slice(3 * rank, 3 * rank + 3)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def _loss(mine: slice):
    """Loss of both directions on these features, and the gradients with respect to them."""
    sounds, pictures = (sphere(6, 5, seed=s)[mine].clone().requires_grad_() for s in (1, 2))
    clip = torch.tensor([7, 8, 9, 10, 7, 11])[mine]  # one clip is in the batch of both
    positive = torch.arange(len(clip)) + first_row(len(clip))
    same = clip[:, None] == gathered(clip)
    loss = info_nce(sounds, gathered(pictures), positive, 0.1, leave_out=same)
    loss = (loss + info_nce(pictures, gathered(sounds), positive, 0.1, leave_out=same)) / 2
    loss.backward()
    return loss.detach(), sounds.grad, pictures.grad


def test_two_processes_are_one_with_the_joint_batch(tmp_path, monkeypatch):
    """The mean of their losses is that of the joint batch, and so is that of the gradients, of which DDP takes the mean."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.syspath_prepend(str(Path.cwd()))  # they import this file
    torch.multiprocessing.spawn(_ranks, (port, str(tmp_path)), nprocs=2)
    (loss0, *grads0), (loss1, *grads1) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    loss, *grads = _loss(slice(None))
    assert (loss0 + loss1).item() / 2 == pytest.approx(loss.item(), abs=1e-9)
    for first, second, whole in zip(grads0, grads1, grads, strict=True):
        assert torch.allclose(torch.cat([first, second]) / 2, whole, atol=1e-9)
