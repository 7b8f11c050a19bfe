"""Weighted k-NN against scikit-learn's, against a plain loop, and what must not change it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier
from torch.utils._python_dispatch import TorchDispatchMode

from train import neighbours
from train.neighbours import knn_accuracy, leave_one_out_accuracy


def clusters(count: int, *, classes: int = 4, features: int = 6, spread: float = 1.0, seed: int = 0):
    """Features (count, features) in float64 around a centre for each class, and the classes."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, features, generator=draw, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=draw)
    return centres[labels] + spread * torch.randn(count, features, generator=draw, dtype=torch.float64), labels


def by_loop(bank, bank_labels, queries, labels, k, temperature, leave_out=None) -> float:
    """The definition, one query and one neighbour at a time."""
    right = 0
    for q, query in enumerate(queries.tolist()):
        near = []
        for n, row in enumerate(bank.tolist()):
            if leave_out is not None and leave_out[q] == n:
                continue
            s = sum(a * b for a, b in zip(query, row, strict=True)) / (math.hypot(*query) * math.hypot(*row))
            near.append((-s, n))
        votes: dict[int, float] = {}
        for minus_s, n in sorted(near)[:k]:
            name = int(bank_labels[n])
            votes[name] = votes.get(name, 0.0) + math.exp(-minus_s / temperature)
        right += min(votes, key=lambda name: (-votes[name], name)) == int(labels[q])
    return right / len(queries)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.07), (20, 1.0), (500, 0.5)])
def test_it_is_scikit_learns(k: int, temperature: float):
    features, labels = clusters(220, spread=1.5)
    bank, queries = features[:150], features[150:]
    reference = KNeighborsClassifier(
        min(k, 150), metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / temperature)
    )
    score = reference.fit(bank.numpy(), labels[:150].numpy()).score(queries.numpy(), labels[150:].numpy())
    assert 0.3 < score < 1  # it can differ
    assert knn_accuracy(bank, labels[:150], queries, labels[150:], k=k, temperature=temperature) == pytest.approx(score)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), temperature=st.sampled_from([0.01, 0.07, 1.0]), chunk=st.integers(1, 9))
def test_it_is_the_plain_loop_in_chunks_of_any_size(seed: int, k: int, temperature: float, chunk: int):
    features, labels = clusters(18, spread=2, seed=seed)
    bank, queries = (features[:10], labels[:10]), (features[10:], labels[10:])
    expected = by_loop(*bank, *queries, k, temperature)
    assert knn_accuracy(*bank, *queries, k=k, temperature=temperature, chunk=chunk) == expected
    assert knn_accuracy(*bank, *queries, k=k, temperature=temperature, classes=4) == expected
    alone = by_loop(features, labels, features, labels, k, temperature, leave_out=range(18))
    assert leave_one_out_accuracy(features, labels, k=k, temperature=temperature, chunk=chunk) == alone


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that anything computes inside."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            self.numbers = max(self.numbers, tensor.numel() if isinstance(tensor, torch.Tensor) else 0)
        return out


def test_memory_does_not_grow_with_the_queries(monkeypatch):
    bank, labels = clusters(60, spread=2)
    queries, theirs = clusters(300, spread=2, seed=1)
    with Largest() as whole:
        accuracy = knn_accuracy(bank, labels, queries, theirs, k=7)
    monkeypatch.setattr(neighbours, "NUMBERS", 2000)
    with Largest() as bounded:
        assert knn_accuracy(bank, labels, queries, theirs, k=7) == accuracy
    assert whole.numbers == 300 * 60 and bounded.numbers <= 2000


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**30]))
def test_the_length_of_features_changes_nothing(seed: int, scale: float):
    features, labels = clusters(40, spread=2, seed=seed)
    lengths = scale * torch.randint(1, 9, (40, 1), generator=torch.Generator().manual_seed(seed)).double().exp2()
    assert leave_one_out_accuracy(features * lengths, labels, k=5) == leave_one_out_accuracy(features, labels, k=5)


def test_the_own_row_never_votes():
    """Pairs of neighbours of different classes: with its own row each would be right, without it none is."""
    angles = torch.arange(12).repeat_interleave(2) * math.pi / 6 + torch.tensor([0.0, 0.01]).repeat(12)
    features, labels = torch.stack([angles.cos(), angles.sin()], 1), torch.tensor([0, 1]).repeat(12)
    assert knn_accuracy(features, labels, features, labels, k=1) == 1
    assert leave_one_out_accuracy(features, labels, k=1) == 0
    assert leave_one_out_accuracy(features[:2], labels[:2], k=200) == 0  # even where no other is left to fill the k places
    some = torch.where(labels == 0, torch.arange(24), -1)
    assert knn_accuracy(features, labels, features, labels, k=1, leave_out=some) == 0.5


def test_nearer_neighbours_outvote_more_of_them():
    bank, bank_labels = torch.tensor([[1.0, 0.1], [1.0, 0.9], [1.0, -0.9]]), torch.tensor([7, 3, 3])
    query = torch.tensor([[1.0, 0.0]])
    assert knn_accuracy(bank, bank_labels, query, torch.tensor([7])) == 1  # τ = 0.07
    assert knn_accuracy(bank, bank_labels, query, torch.tensor([3]), temperature=10) == 1


def test_of_equally_near_rows_the_first_and_of_equal_votes_the_lowest_class():
    bank = torch.eye(2)[[0, 0, 0, 0, 1]]
    query = torch.tensor([[3.0, 0.0]])

    def voted(labels: list[int], k: int) -> int:
        return next(name for name in range(10) if knn_accuracy(bank, torch.tensor(labels), query, torch.tensor([name]), k=k))

    assert [voted([5, 2, 2, 2, 9], k) for k in (1, 2, 3)] == [5, 2, 2]
    assert voted([2, 5, 5, 5, 9], 2) == 2
    assert voted([5, 4, 5, 4, 9], 4) == 4


def test_temperatures_that_would_overflow_and_half_precision_do():
    features, labels = clusters(60, spread=2)
    assert leave_one_out_accuracy(features.float(), labels, temperature=1e-4) == leave_one_out_accuracy(features, labels, k=1)
    half = features.bfloat16()
    assert leave_one_out_accuracy(half, labels, k=5) == leave_one_out_accuracy(half.float(), labels, k=5)
    with torch.autocast("cpu"):  # an evaluation in the middle of training
        inside = leave_one_out_accuracy(features.float(), labels, k=5)
    assert inside == leave_one_out_accuracy(features.float(), labels, k=5)


def test_a_class_that_the_bank_lacks_is_counted_as_wrong():
    bank, labels = torch.eye(3), torch.tensor([10**12, 5, -4])
    assert knn_accuracy(bank, labels, bank, torch.tensor([10**12, 6, -4]), k=1) == pytest.approx(2 / 3)


FIT = (torch.eye(3), torch.tensor([0, 1, 2]), torch.eye(3), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        ({0: torch.eye(4)[:3]}, {}, "must be .N, D. and .Q, D., not .3, 4. and .3, 3."),
        ({1: torch.tensor([0])}, {}, "a label for each of 3 and 3 features"),
        ({0: torch.empty(0, 3), 1: torch.empty(0)}, {}, "nothing to compare: 3 queries, a bank of 0"),
        ({0: torch.full((3, 3), torch.nan)}, {}, "must be finite"),
        ({}, {"k": 0}, "k=0"),
        ({}, {"temperature": 0.0}, "temperature=0.0"),
        ({}, {"classes": 2}, "labels from 0 to 2 are not those of 2 classes: allowed are 0 … 1"),
        ({}, {"leave_out": torch.tensor([0, 1, 3])}, "leave_out must name a row of the bank for each query, −1 … 2"),
    ],
)
def test_what_does_not_fit_is_named(changed, settings, message):
    given = [changed.get(place, value) for place, value in enumerate(FIT)]
    with pytest.raises(ValueError, match=message):
        knn_accuracy(*given, **settings)


def test_one_clip_has_no_neighbour():
    with pytest.raises(ValueError, match="nothing to compare: 1 queries, a bank of 1"):
        leave_one_out_accuracy(torch.ones(1, 2), torch.zeros(1, dtype=torch.int64))
