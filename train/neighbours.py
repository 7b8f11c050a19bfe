"""Weighted k-nearest-neighbour accuracy of features: a judge that learns nothing.

As in Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (CVPR 2018), section 3.4: the k
rows of a bank with the highest cosine similarity s vote for their class with weight exp(s/τ); k = 200, τ = 0.07.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

NUMBERS = 2**24
"""Similarities that are held at once (64 MiB in float32, a few times over): memory does not grow with the number of queries."""


def knn_accuracy(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    labels: Tensor,
    *,
    k: int = 200,
    temperature: float = 0.07,
    classes: int | None = None,
    leave_out: Tensor | None = None,
    chunk: int | None = None,
) -> float:
    """Fraction of queries whose class has the most votes among their neighbours in the bank.

    Computed in the features' own precision, float32 at least, whatever autocast says. Of rows that are equally similar to the last
    bit those with lower numbers are nearer; of classes with equally many votes the lowest wins.

    Args:
        bank: features (N, D) of any lengths, floating point. A normalised copy of it is made.
        bank_labels: their classes (N,), integers.
        queries, labels: (Q, D) and (Q,). A query whose class is not in the bank is counted, and never right.
        k: neighbours that vote; all of a bank that has fewer.
        temperature: τ: the smaller, the more the nearest of the neighbours decide.
        classes: their number, if all labels lie in [0, classes); None: they may be any integers, such as ids of recordings.
        leave_out: for each query the row of the bank that does not vote (Q,), −1 for none.
        chunk: queries at once, which changes memory and speed only; by default what `NUMBERS` allows.

    Raises:
        ValueError: shapes that do not fit, nothing to compare, features that are not finite, labels or settings out of range.
    """
    _check(bank, bank_labels, queries, labels, leave_out)
    if k < 1 or not temperature > 0 or (chunk is not None and chunk < 1):
        raise ValueError(f"k={k}, temperature={temperature}, chunk={chunk} of k-NN must be at least 1, above 0, at least 1")
    if classes is None:
        names, targets = bank_labels.unique(return_inverse=True)
    else:
        names, targets = torch.arange(classes, device=bank.device), bank_labels.long()
        for low, high in ((int(which.min()), int(which.max())) for which in (bank_labels, labels)):
            if low < 0 or high >= classes:
                raise ValueError(f"labels from {low} to {high} are not those of {classes} classes: allowed are 0 … {classes - 1}")
    rows = chunk or max(1, NUMBERS // max(len(bank), len(names)))
    bank, k, right = _unit(bank), min(k, len(bank)), 0
    with torch.no_grad(), torch.autocast(bank.device.type, enabled=False):
        for first in range(0, len(queries), rows):
            part = slice(first, first + rows)
            similarity = _unit(queries[part]) @ bank.T
            if leave_out is not None:
                _silence(similarity, leave_out[part])
            voted = names[_votes(similarity, targets, len(names), k, temperature).argmax(1)]
            right += int((voted == labels[part]).sum())
    return right / len(queries)


def leave_one_out_accuracy(
    features: Tensor,
    labels: Tensor,
    *,
    k: int = 200,
    temperature: float = 0.07,
    classes: int | None = None,
    chunk: int | None = None,
) -> float:
    """`knn_accuracy` of features (N, D) against all others, each without its own row: for clips whose class is their recording.

    A class with one member is never right.
    """
    own = torch.arange(len(features), device=features.device)
    return knn_accuracy(
        features, labels, features, labels, k=k, temperature=temperature, classes=classes, leave_out=own, chunk=chunk
    )


def _votes(similarity: Tensor, targets: Tensor, classes: int, k: int, temperature: float) -> Tensor:
    """Votes (Q, classes) of the k most similar of each row of (Q, N), as a share of what the most similar of all gives."""
    near = _nearest(similarity, k)
    near_similarity = similarity.gather(1, near)
    weight = ((near_similarity - similarity.amax(1, keepdim=True)).double() / temperature).exp()  # no overflow for a small τ
    votes = torch.zeros(len(similarity), classes, dtype=torch.float64, device=similarity.device)
    return votes.scatter_add_(1, targets[near], weight)


def _nearest(similarity: Tensor, k: int) -> Tensor:
    """Numbers (Q, k) of the k largest of each row (Q, N), falling; of equal ones that compete for the last place the first."""
    top = similarity.topk(min(k + 1, similarity.shape[1]), dim=1)
    near = top.indices[:, :k]
    if top.values.shape[1] > k:
        open_ended = (top.values[:, k] == top.values[:, k - 1]).nonzero()[
            :, 0
        ]  # there `topk` promises nothing, but sorting is slow
        near[open_ended] = similarity[open_ended].argsort(dim=1, descending=True, stable=True)[:, :k]
    return near


def _silence(similarity: Tensor, leave_out: Tensor) -> None:
    """Set the left-out place of each row to −∞: it comes last, and exp(−∞) is no vote."""
    who = (leave_out >= 0).nonzero()[:, 0]
    similarity[who, leave_out[who]] = -torch.inf


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.detach().to(torch.promote_types(features.dtype, torch.float32)), dim=1)


def _check(bank: Tensor, bank_labels: Tensor, queries: Tensor, labels: Tensor, leave_out: Tensor | None) -> None:
    if bank.ndim != 2 or queries.ndim != 2 or bank.shape[1] != queries.shape[1]:
        raise ValueError(f"features of k-NN must be (N, D) and (Q, D), not {tuple(bank.shape)} and {tuple(queries.shape)}")
    if bank_labels.shape != bank.shape[:1] or labels.shape != queries.shape[:1]:
        raise ValueError(
            f"k-NN needs a label for each of {len(bank)} and {len(queries)} features, not {tuple(bank_labels.shape)} "
            f"and {tuple(labels.shape)}"
        )
    if len(queries) == 0 or len(bank) < (1 if leave_out is None else 2):
        raise ValueError(f"k-NN has nothing to compare: {len(queries)} queries, a bank of {len(bank)}")
    for which in (bank, queries):
        if not bool(which.isfinite().all()):
            raise ValueError("features of k-NN must be finite; these hold NaN or infinity")
    if leave_out is not None and (
        leave_out.shape != labels.shape or int(leave_out.min()) < -1 or int(leave_out.max()) >= len(bank)
    ):
        raise ValueError(
            f"leave_out must name a row of the bank for each query, −1 … {len(bank) - 1}, in shape {tuple(labels.shape)}"
        )
