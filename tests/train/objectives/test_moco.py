"""MoCo-v2 and DenseCL against references written from the papers, in float64, and against lightly."""

import math
import os
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.models.utils import select_most_similar, update_momentum
from torch import nn

from train.objectives.densecl import DenseCL, by_cell, matches
from train.objectives.moco import MoCo, against_queue, own_key
from train.objectives.momentum import follow, follower, shuffled
from train.objectives.queue import KeyQueue
from train.recipe import Contrast, Optim, Recipe

QUEUE, OUT, BATCH = 16, 5, 4


class Tiny(nn.Module):
    """A backbone with batch norm: (B, 3, 8, 8) to (B, 6, 4, 4)."""

    out_channels = 6

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6) if norm else nn.Identity(), nn.Tanh())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


def recipe(**settings) -> Recipe:
    return Recipe(optim=Optim(epochs=1), contrast=Contrast(**{"queue": QUEUE, "hidden": 7, "out": OUT, **settings}))


def make(kind: type[MoCo], *, norm: bool = True, **settings) -> MoCo:
    torch.manual_seed(3)
    objective = kind(recipe(**settings), Tiny(norm)).double()
    with torch.no_grad():  # as after some steps: the two networks differ
        for parameter in (*objective.encoder.parameters(), *objective.head.parameters()):
            parameter += 0.1 * torch.randn_like(parameter)
    return objective


def views(count: int = BATCH) -> dict[str, torch.Tensor]:
    torch.manual_seed(4)
    return {name: torch.randn(count, 3, 8, 8, dtype=torch.float64) for name in ("view0", "view1")}


def dot(a, b) -> float:
    return math.fsum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def on_sphere(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.square().sum(1, keepdim=True).sqrt()


def loss_by_loops(queries, positives, queue, temperature: float) -> float:
    total = 0.0
    for q, k in zip(queries, positives, strict=True):
        terms = [math.exp(dot(q, k) / temperature), *(math.exp(dot(q, n) / temperature) for n in queue)]
        total -= math.log(terms[0] / math.fsum(terms))
    return total / len(queries)


def reference_keys(objective: MoCo, view: torch.Tensor, groups: int, seed: int):
    """The key network moved by hand, then asked part by part in the same random order."""
    networks = {"encoder": (objective.key_encoder, objective.encoder), "head": (objective.key_head, objective.head)}
    if isinstance(objective, DenseCL):
        networks["dense"] = (objective.key_dense_head, objective.dense_head)
    moved = {}
    m = objective.momentum
    for name, (key, query) in networks.items():
        moved[name] = deepcopy(key)
        for slow, old, fast in zip(moved[name].parameters(), key.parameters(), query.parameters(), strict=True):
            slow.data = m * old.data + (1 - m) * fast.data
    torch.manual_seed(seed)
    order = torch.randperm(len(view))
    features = torch.empty(len(view), 6, 4, 4, dtype=torch.float64)
    size = len(view) // groups
    with torch.no_grad():
        for g in range(groups):
            part = order[g * size : (g + 1) * size]
            features[part] = moved["encoder"](view[part])
        keys = on_sphere(moved["head"](features))
    return moved, features, keys


@pytest.mark.parametrize("groups", [1, 2])
def test_a_whole_update_of_moco_is_the_papers(groups: int):
    objective, batch = make(MoCo, momentum=0.9, groups=groups), views()
    expected = deepcopy(objective)
    moved, _, keys = reference_keys(expected, batch["view1"], groups, seed=9)
    queries = on_sphere(expected.head(expected.encoder(batch["view0"])))
    by_hand = loss_by_loops(queries.detach(), keys, expected.queue.keys, 0.2)
    # the gradient from another formula: log-sum-exp
    scores = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ expected.queue.keys.T], 1) / 0.2
    (scores.logsumexp(1) - scores[:, 0]).mean().backward()

    torch.manual_seed(9)
    loss, _ = objective(batch)
    loss.backward()
    assert loss.item() == pytest.approx(by_hand, abs=1e-9)
    for mine, other in zip(
        (*objective.encoder.parameters(), *objective.head.parameters()),
        (*expected.encoder.parameters(), *expected.head.parameters()),
        strict=True,
    ):
        assert torch.allclose(mine.grad, other.grad, atol=1e-9)
    assert all(p.grad is None for p in (*objective.key_encoder.parameters(), *objective.key_head.parameters()))
    for mine, other in zip(objective.key_encoder.parameters(), moved["encoder"].parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-12)
    for mine, other in zip(objective.key_head.parameters(), moved["head"].parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-12)
    assert torch.allclose(objective.queue.keys[:BATCH], keys, atol=1e-9)
    assert torch.equal(objective.queue.keys[BATCH:], expected.queue.keys[BATCH:])
    assert objective.queue.place == BATCH


def test_a_whole_update_of_densecl_is_the_papers():
    objective, batch = make(DenseCL, momentum=0.9, dense=0.3), views()
    expected = deepcopy(objective)
    moved, key_features, keys = reference_keys(expected, batch["view1"], 1, seed=9)
    features = expected.encoder(batch["view0"])
    queries = on_sphere(expected.head(features)).detach()
    with torch.no_grad():
        dense, key_dense = expected.dense_head(features), moved["dense"](key_features)
    cell_queries, cell_keys = [], []
    for n in range(BATCH):
        for i in range(16):
            here = features[n].detach().flatten(1)[:, i]
            cosine = [dot(here, there) / math.sqrt(dot(here, here) * dot(there, there)) for there in key_features[n].flatten(1).T]
            best = max(range(16), key=cosine.__getitem__)
            r, t = dense[n].flatten(1)[:, i], key_dense[n].flatten(1)[:, best]
            cell_queries.append(r / r.norm())
            cell_keys.append(t / t.norm())
    whole = loss_by_loops(queries, keys, expected.queue.keys, 0.2)
    cells = loss_by_loops(cell_queries, cell_keys, expected.dense_queue.keys, 0.2)
    pooled = on_sphere(key_dense.flatten(2).mean(2))

    torch.manual_seed(9)
    loss, _ = objective(batch)
    assert loss.item() == pytest.approx(0.7 * whole + 0.3 * cells, abs=1e-9)
    assert torch.allclose(objective.dense_queue.keys[:BATCH], pooled, atol=1e-9)
    assert torch.allclose(objective.queue.keys[:BATCH], keys, atol=1e-9)
    loss.backward()
    assert all(p.grad is not None for p in objective.dense_head.parameters())


def test_lambda_warms_up():
    objective, batch = make(DenseCL, dense=0.5, dense_from=2), views()
    plain = make(DenseCL, dense=0.0)
    for step in range(3):
        torch.manual_seed(step)
        mine = objective(batch)[0]
        torch.manual_seed(step)
        other = plain(batch)[0]
        assert (mine == other) == (step < 2)


def test_evaluation_moves_nothing():
    objective = make(DenseCL).eval()
    before = deepcopy(objective.state_dict())
    objective(views())
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_loss_and_queue_are_lightlys():
    torch.manual_seed(0)
    theirs = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, OUT))
    queue = KeyQueue(QUEUE, OUT)
    bank = theirs.memory_bank
    queue.keys.copy_(bank.bank)
    queue.place.copy_(torch.as_tensor(int(bank.bank_ptr)))
    for _ in range(5):
        queries = nn.functional.normalize(torch.randn(BATCH, OUT), dim=1).requires_grad_()
        keys = nn.functional.normalize(torch.randn(BATCH, OUT), dim=1)
        loss = own_key(against_queue(queries, keys, queue.keys, 0.2))
        assert loss.item() == pytest.approx(theirs(queries, keys).item(), abs=1e-6)
        queue.push(keys)
        assert torch.allclose(queue.keys, bank.bank, atol=1e-6)


def test_momentum_and_matches_are_lightlys():
    torch.manual_seed(0)
    query, mine, theirs = Tiny().double(), Tiny().double(), Tiny().double()
    theirs.load_state_dict(mine.state_dict())
    follow(mine, query, 0.99)
    update_momentum(query, theirs, m=0.99)
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
    features, key_features, values = (torch.randn(3, 6, 16) for _ in range(3))
    nearest = matches(features, key_features)
    chosen = values.gather(2, nearest[:, None].expand(-1, 6, -1))
    assert torch.equal(chosen.transpose(1, 2), select_most_similar(*(x.transpose(1, 2) for x in (features, key_features, values))))


def test_a_follower_is_a_copy_without_gradients():
    query = Tiny()
    key = follower(query)
    pairs = list(zip(query.parameters(), key.parameters(), strict=True))
    assert pairs and all(torch.equal(a, b) and a is not b and not b.requires_grad for a, b in pairs)


def test_the_queue_is_first_in_first_out():
    queue = KeyQueue(6, 2)
    for number in range(5):
        queue.push(torch.full((2, 2), float(number)))
    assert queue.keys[:, 0].tolist() == [3, 3, 4, 4, 2, 2] and queue.place == 4
    with pytest.raises(ValueError, match="a queue of 6 keys takes batches that divide it, not 4"):
        queue.push(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="size=0"):
        KeyQueue(0, 2)


def test_cells_are_laid_out_by_picture():
    cells = torch.arange(2 * 3 * 4).view(2, 3, 4)
    expected = [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11], [12, 16, 20], [13, 17, 21], [14, 18, 22], [15, 19, 23]]
    assert by_cell(cells).tolist() == expected


def test_keys_come_back_in_order_and_each_in_new_company():
    """Batch norm tells a picture what its companions are: here outright. Whoever keeps the company lets it through."""
    numbers = torch.arange(8.0)[:, None]

    def company(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return part, part.sum().expand(len(part))

    seen = set()
    torch.manual_seed(0)
    for _ in range(20):
        same, mates = shuffled(company, numbers, groups=2)
        assert torch.equal(same, numbers)
        seen.add(float(mates[0]))
        assert math.isclose(float(mates.unique().sum()), 28) or len(mates.unique()) == 1
    assert len(seen) > 3  # without the shuffle it is always 0 + 1 + 2 + 3
    with pytest.raises(ValueError, match="8 pictures does not divide into 3 groups"):
        shuffled(company, numbers, groups=3)


def test_batch_norm_gives_nothing_away():
    """A network that answers with its batch's mean, as one can that sees it through batch norm, finds its key without looking at
    the picture when queries and keys are normalised in the same company, and cannot when the keys are shuffled.
    """
    torch.manual_seed(0)
    right = {"kept": 0, "shuffled": 0}
    for _ in range(40):
        pictures = torch.randn(16, 3)
        queries = torch.cat([part.mean(0).expand(4, 3) for part in pictures.split(4)])
        for how in right:
            encode = lambda part: (part.mean(0).expand(len(part), 3),)  # noqa: E731
            kept = torch.cat([encode(part)[0] for part in pictures.split(4)])
            keys = kept if how == "kept" else shuffled(encode, pictures, groups=4)[0]
            scores = -(queries[:, None] - keys[None]).square().sum(2)
            group = scores.argmax(1) // 4  # whose key is nearest: somebody of the own group?
            right[how] += int((group == torch.arange(16) // 4).sum())
    assert right["kept"] == 40 * 16
    assert right["shuffled"] < 0.45 * 40 * 16  # chance is a quarter, and a little more as own pictures are in it


def _two(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    for kind in (MoCo, DenseCL):
        objective = make(kind, norm=False, momentum=0.9)
        batch = {name: view[rank * BATCH : (rank + 1) * BATCH] for name, view in views(2 * BATCH).items()}
        losses = []
        torch.manual_seed(9)
        for _ in range(2):
            loss = objective(batch)[0]
            loss.backward()
            losses.append(loss.detach())
        grads = [p.grad.clone() for p in objective.parameters() if p.grad is not None]
        for value in (*losses, *grads):
            torch.distributed.all_reduce(value)
            value /= 2
        state = objective.state_dict()
        torch.save({"losses": losses, "grads": grads, "state": state}, f"{folder}/{kind.__name__}-{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_are_one_with_the_joint_batch(tmp_path, monkeypatch):
    """Losses, gradients, queues, key networks. The backbone has no batch norm, whose company differs by nature."""
    import socket

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    monkeypatch.syspath_prepend(str(Path.cwd()))  # they import this file
    torch.multiprocessing.spawn(_two, (port, str(tmp_path)), nprocs=2)
    for kind in (MoCo, DenseCL):
        objective, batch = make(kind, norm=False, momentum=0.9), views(2 * BATCH)
        torch.manual_seed(9)
        losses = []
        for _ in range(2):
            loss = objective(batch)[0]
            loss.backward()
            losses.append(loss.detach())
        grads = [p.grad for p in objective.parameters() if p.grad is not None]
        for rank in (0, 1):
            found = torch.load(tmp_path / f"{kind.__name__}-{rank}.pt")
            assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found["losses"], losses, strict=True))
            assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found["grads"], grads, strict=True))
            assert all(torch.allclose(found["state"][k].double(), v.double(), atol=1e-9) for k, v in objective.state_dict().items())
