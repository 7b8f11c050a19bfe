"""InfoNCE, and what it needs: the unit sphere and enough digits."""

import torch
from torch import Tensor
from torch.nn import functional as F


def info_nce(
    anchors: Tensor, candidates: Tensor, positive: Tensor, temperature: float, *, leave_out: Tensor | None = None
) -> Tensor:
    """−E_i log(exp(p_i · a_i / τ) / (exp(p_i · a_i / τ) + Σ_n exp(n · a_i / τ))) (equation 2).

    Args:
        anchors: (N, D), the a_i.
        candidates: (M, D): the positives p_i and the negatives n of all anchors.
        positive: (N,) int64: which candidate is p_i.
        temperature: τ.
        leave_out: (N, M) bool: candidates that are neither to this anchor, such as another positive of it.

    Returns:
        the mean over the anchors, 0-dimensional.
    """
    with torch.autocast(anchors.device.type, enabled=False):  # which would multiply in half precision, and then divide by a small τ
        logits = at_least_float32(anchors) @ at_least_float32(candidates).T / temperature
    if leave_out is not None:
        own = F.one_hot(positive, len(candidates)).bool()
        logits = logits.masked_fill(leave_out & ~own, -torch.inf)
    return F.cross_entropy(logits, positive)


def at_least_float32(values: Tensor) -> Tensor:
    """Out of the half precision of autocast, in which a softmax over thousands of candidates would be coarse."""
    return values if values.dtype == torch.float64 else values.float()


def unit(values: Tensor) -> Tensor:
    """On the unit sphere along dimension 1, at least in float32."""
    return F.normalize(at_least_float32(values), dim=1)
